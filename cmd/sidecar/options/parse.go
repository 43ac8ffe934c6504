package options

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"

	"github.com/spf13/pflag"
)

// Parse reads the command line and the environment; a flag wins over its
// variable. All faulty values come in one error.
func Parse(args, environ []string) (Options, error) {
	var (
		opts     = defaults()
		settings = opts.settings()
		faults   []error
		flags    = pflag.NewFlagSet("sidecar", pflag.ContinueOnError)
	)
	flags.BoolVarP(&opts.Help, "help", "h", false, "")
	flags.BoolVar(&opts.ShowVersion, "version", false, "")
	for _, s := range settings {
		flag := flags.VarPF(recorded{s.value, "--" + s.name + " ", &faults}, s.name, "", "")
		if s.isSwitch {
			flag.NoOptDefVal = "true"
		}
	}
	flags.Usage = func() {} // an error tells by itself, and points at --help
	if err := flags.Parse(args); err != nil {
		return Options{}, err
	}
	if opts.Help || opts.ShowVersion {
		return opts, nil
	}
	faults = append(faults, opts.command(flags.Args()))

	env := newEnvironment(environ)
	given := map[string]bool{}
	for _, s := range settings {
		text, found := env.take(s.name)
		given[s.name] = found || flags.Changed(s.name)
		if found && !flags.Changed(s.name) {
			faults = append(faults, assign(s.value, envName(s.name)+"=", text))
		}
	}
	opts.adapt(given, env.clamdConf)
	opts.Strangers = env.strangers()
	return opts, errors.Join(append(faults, opts.Validate())...)
}

// command takes in what stands on the command line besides flags.
func (o *Options) command(words []string) error {
	switch {
	case len(words) == 0:
		return nil
	case words[0] != "scan":
		return fmt.Errorf("%q is no command: want none, to serve, or scan FILE", words[0])
	case len(words) == 1:
		return errors.New("scan: want the name of a file, or - for standard input")
	}
	if i := slices.Index(words, "-"); i >= 0 && slices.Contains(words[i+1:], "-") {
		return errors.New("scan: - is given more than once, and standard input can be read only once")
	}
	o.Scan, o.Files = true, words[1:]
	return nil
}

// adapt sets what was not given to more than a fixed default.
func (o *Options) adapt(given map[string]bool, clamdConf string) {
	if !given["clamd-conf"] && clamdConf != "" {
		o.ClamdConf = clamdConf
	}
	// `sidecar scan` tells its verdicts on standard output, to a person or a
	// script; the log would tell them once more.
	if o.Scan && !given["log-level"] {
		o.logLevel = slog.LevelError
	}
	if o.Scan && !given["log-format"] {
		o.logFormat = formatText
	}
}

// recorded is a flag whose faulty values are recorded, so that pflag goes on to
// the next flag.
type recorded struct {
	pflag.Value
	source string
	faults *[]error
}

func (r recorded) Set(text string) error {
	*r.faults = append(*r.faults, assign(r.Value, r.source, text))
	return nil
}

// assign sets a value; its error says where the value came from.
func assign(v pflag.Value, source, text string) error {
	if err := v.Set(text); err != nil {
		return fmt.Errorf("%s%q: %w", source, text, err)
	}
	return nil
}
