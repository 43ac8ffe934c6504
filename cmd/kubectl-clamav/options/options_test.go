package options

import (
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files anew")

func TestHelpTellsAllFlags(t *testing.T) {
	got := Help()
	golden := filepath.Join("testdata", "help.txt")
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("the help differs from %s; go test ./cmd/kubectl-clamav/options -update writes it anew. got\n%s", golden, got)
	}
	for number, line := range strings.Split(got, "\n") {
		if len(line) > 110 {
			t.Errorf("line %d has %d columns, want at most 110: %s", number+1, len(line), line)
		}
	}
}

func TestCommandLinesThatAreRefused(t *testing.T) {
	tests := map[string]struct {
		args string
		want []string
	}{
		"nothing":         {"", []string{"want a command: inject or uninject", "-f: want a file with manifests, or - for standard input"}},
		"another command": {"injct -f x", []string{`"injct" is no command: want inject or uninject`}},
		"no image": {"inject -f x", []string{"--image: want the sidecar's image, such as --image registry.example/clamav-sidecar:1.0, " +
			"or --config with the webhook's configuration file, which tells it"}},
		"standard input twice":   {"inject --image i -f - -f -", []string{"-f - is given more than once, and standard input can be read only once"}},
		"files without -f":       {"inject --image i -f a.yaml b.yaml", []string{`"b.yaml": want files behind -f`}},
		"a version that is none": {"inject --image i -f x --kubernetes-version new", []string{`--kubernetes-version "new": want a version such as 1.31`}},
		"flags of inject":        {"uninject -f x --image i --config c", []string{"--config: only inject takes this flag", "--image: only inject takes this flag"}},
		"an unknown flag":        {"inject --imge i", []string{"unknown flag: --imge"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := Parse(strings.Fields(test.args))
			if err == nil || !slices.Equal(strings.Split(err.Error(), "\n"), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

func TestTheInjectorIsWhatFlagsAndConfigurationSay(t *testing.T) {
	config := filepath.Join("testdata", "config.yaml")
	tests := map[string]struct {
		args, image string
		native      bool
	}{
		"an image":                          {"--image i:1", "i:1", true},
		"an old API server":                 {"--image i:1 --kubernetes-version v1.31.4-x", "i:1", false},
		"one that is new enough":            {"--image i:1 --kubernetes-version 1.32", "i:1", true},
		"a configuration":                   {"--config " + config, "registry.example/clamav-sidecar:2.0", true},
		"a configuration and another image": {"--config " + config + " --image i:1", "i:1", true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			opts, err := Parse(strings.Fields("inject -f x " + test.args))
			if err != nil {
				t.Fatal(err)
			}
			injector, err := opts.Injector("1.0")
			if err != nil {
				t.Fatal(err)
			}
			if injector.Defaults.Image != test.image || injector.Native != test.native || injector.Version != "1.0" {
				t.Errorf("got %+v, want image %s and native %t", injector, test.image, test.native)
			}
		})
	}
}

func TestAnImageThatIsNoneIsRefused(t *testing.T) {
	opts, err := Parse([]string{"inject", "-f", "x", "--image", "a b"})
	if err != nil {
		t.Fatal(err)
	}
	_, err = opts.Injector("1.0")
	if want := `--image "a b": want the name of an image, such as registry.example/clamav-sidecar:1.0`; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}
