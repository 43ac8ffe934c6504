// Package options reads the flags of kubectl-clamav and writes the help on them.
package options

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"

	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"clamav-sidecar/webhook/config"
	"clamav-sidecar/webhook/inject"
)

// The commands.
const (
	Inject   = "inject"
	Uninject = "uninject"
)

// Options are what the command line asks for.
type Options struct {
	Command   string
	Filenames []string // "-": standard input
	// Diff asks for the changes instead of the manifests.
	Diff bool
	// Help and ShowVersion ask for these texts, and for nothing else.
	Help, ShowVersion bool

	config, image, kubernetes string
}

func (o *Options) flags() *pflag.FlagSet {
	flags := pflag.NewFlagSet("kubectl clamav", pflag.ContinueOnError)
	flags.SortFlags = false
	flags.Usage = func() {} // an error tells by itself, and points at --help
	flags.StringArrayVarP(&o.Filenames, "filename", "f", nil, "a `file` with manifests, YAML or JSON, or a directory of such files;\n- is standard input; may be given many times")
	flags.BoolVar(&o.Diff, "diff", false, "print the changes, as a unified diff, instead of the manifests")
	flags.StringVar(&o.config, "config", "", "the webhook's configuration `file`, with the defaults of the cluster")
	flags.StringVar(&o.image, "image", "", "the sidecar's `image`; wins over that of --config; one of the two is\nneeded")
	flags.StringVar(&o.kubernetes, "kubernetes-version", "", "`version` of the API server, such as 1.31, for pods with the mode auto:\nbelow 1.32 they get a plain container (default a current one)")
	flags.BoolVarP(&o.Help, "help", "h", false, "this text")
	flags.BoolVar(&o.ShowVersion, "version", false, "the version")
	return flags
}

// Parse reads the command line. All faults come in one error, but for flags that
// there are not.
func Parse(args []string) (Options, error) {
	var o Options
	flags := o.flags()
	if err := flags.Parse(args); err != nil {
		return Options{}, err
	}
	if o.Help || o.ShowVersion {
		return o, nil
	}
	faults := []error{o.command(flags.Args())}
	if len(o.Filenames) == 0 {
		faults = append(faults, errors.New("-f: want a file with manifests, or - for standard input"))
	}
	if i := slices.Index(o.Filenames, "-"); i >= 0 && slices.Contains(o.Filenames[i+1:], "-") {
		faults = append(faults, errors.New("-f - is given more than once, and standard input can be read only once"))
	}
	if o.Command == Inject && o.image == "" && o.config == "" {
		faults = append(faults, errors.New("--image: want the sidecar's image, such as --image registry.example/clamav-sidecar:1.0, "+
			"or --config with the webhook's configuration file, which tells it"))
	}
	if o.Command == Uninject {
		for _, name := range []string{"config", "image", "kubernetes-version"} {
			if flags.Changed(name) {
				faults = append(faults, fmt.Errorf("--%s: only inject takes this flag", name))
			}
		}
	}
	if _, err := o.native(); err != nil {
		faults = append(faults, err)
	}
	return o, errors.Join(faults...)
}

// command takes in what stands on the command line besides flags.
func (o *Options) command(words []string) error {
	if len(words) == 0 {
		return fmt.Errorf("want a command: %s or %s", Inject, Uninject)
	}
	if o.Command = words[0]; o.Command != Inject && o.Command != Uninject {
		return fmt.Errorf("%q is no command: want %s or %s", o.Command, Inject, Uninject)
	}
	if len(words) > 1 {
		return fmt.Errorf("%q: want files behind -f", words[1])
	}
	return nil
}

// versionPattern takes what people and API servers write: 1.31, v1.31.4-gke.1.
var versionPattern = regexp.MustCompile(`^v?(\d{1,3})\.(\d{1,3})([.+-].*)?$`)

// native tells whether the cluster supports native sidecars.
func (o *Options) native() (bool, error) {
	if o.kubernetes == "" {
		return true, nil
	}
	parts := versionPattern.FindStringSubmatch(o.kubernetes)
	if parts == nil {
		return false, fmt.Errorf("--kubernetes-version %q: want a version such as 1.31", o.kubernetes)
	}
	major, _ := strconv.Atoi(parts[1]) // the pattern has digits only
	minor, _ := strconv.Atoi(parts[2])
	return inject.SupportsNative(major, minor), nil
}

// Injector is the one that the options, and the file of --config, ask for.
func (o *Options) Injector(version string) (*inject.Injector, error) {
	settings := inject.DefaultSettings()
	if o.config != "" {
		file, err := config.Load(o.config)
		if err != nil {
			return nil, err
		}
		settings = file.Sidecar
	}
	if o.image != "" {
		if faults := settings.Set(map[string]string{"image": o.image}, field.NewPath("--")); len(faults) > 0 {
			return nil, fmt.Errorf("--image %q: %s", o.image, faults[0].Detail)
		}
	}
	native, err := o.native()
	return &inject.Injector{Defaults: settings, Native: native, Version: version}, err
}

// Idle says what it means that no object was injected, or is to be uninjected.
func (o *Options) Idle() string {
	if o.Command == Uninject {
		return "nothing to do: no object is injected"
	}
	return fmt.Sprintf("nothing to do: no object asks for the injection; those that scan need the annotation %s: \"true\" on their pod template",
		inject.InjectAnnotation)
}

// Help is the text of --help.
func Help() string {
	var o Options
	return `kubectl clamav makes the pods of manifests scan: it injects the scanning sidecar where the
annotation ` + inject.InjectAnnotation + `: "true" asks for it, exactly as the webhook does.

Usage:
  kubectl clamav inject -f FILE --image IMAGE [flags] | kubectl apply -f -
  kubectl clamav uninject -f FILE [flags]             print manifests as they were before
  kubectl clamav --version
  kubectl clamav --help

Flags:
` + o.flags().FlagUsages() + `
Everything else in the manifests is printed as it is: other objects, comments, blank lines.
A Namespace with the label ` + inject.NamespaceLabel + `=` + inject.NamespaceEnabled + ` asks for all pods of that namespace in the input.
Nothing is printed if there is a fault; all faults, and warnings, go to standard error.

Exit codes, with --diff too:
  0  done, also if nothing asked for the injection
  1  faults in documents
  2  wrong flags, or a file that cannot be read
`
}
