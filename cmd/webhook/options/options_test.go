package options_test

import (
	"strings"
	"testing"
	"time"

	"clamav-sidecar/cmd/webhook/options"
)

func TestFlagsBecomeTheConfiguration(t *testing.T) {
	got, err := options.Parse([]string{"--namespace=clamav", "--listen=:1234", "--drain=7s",
		"--webhook-configuration=a,b", "--webhook-configuration=c", "--cert-dir=/certs"})
	if err != nil {
		t.Fatal(err)
	}
	if got.Namespace != "clamav" || got.Listen != ":1234" || got.Drain != 7*time.Second || got.CertDir != "/certs" ||
		strings.Join(got.Configurations, " ") != "a b c" {
		t.Errorf("got %+v", got.Config)
	}
	if got.OpsListen != ":8080" || got.File != "/etc/clamav-sidecar/config.yaml" {
		t.Errorf("what was not given is %s and %s, want the defaults", got.OpsListen, got.File)
	}
}

func TestFaults(t *testing.T) {
	for name, test := range map[string]struct {
		args []string
		want []string
	}{
		"a word that is no flag":    {[]string{"--namespace=n", "serve"}, []string{`"serve"`}},
		"an unknown flag":           {[]string{"--namespce=n"}, []string{"--namespce"}},
		"no namespace anywhere":     {nil, []string{"--namespace", "service account"}},
		"a duration without a unit": {[]string{"--namespace=n", "--drain=5"}, []string{"--drain", `"5"`}},
		"several at once": {
			[]string{"--namespace=Not_A_Name", "--listen=9443", "--log-level=loud", "--log-format=xml", "--drain=-1s", "--config=", "--webhook-configuration="},
			[]string{"--namespace", "Not_A_Name", "--listen", "9443", "--log-level", "loud", "--log-format", "xml", "--drain", "--config", "--webhook-configuration"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := options.Parse(test.args)
			if err == nil {
				t.Fatal("accepted")
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("the error is\n%v\nwant %s in it", err, want)
				}
			}
		})
	}
}

func TestHelpNamesEachFlagWithItsDefault(t *testing.T) {
	help := options.Help()
	for _, want := range []string{"--config file", `"/etc/clamav-sidecar/config.yaml"`, "--listen", `":9443"`, "--ops-listen", "--cert-secret",
		"--cert-dir", "--webhook-configuration", "--drain", "5s", "--kubeconfig", "--log-level", "--log-format", "Exit codes"} {
		if !strings.Contains(help, want) {
			t.Errorf("the help lacks %s:\n%s", want, help)
		}
	}
}
