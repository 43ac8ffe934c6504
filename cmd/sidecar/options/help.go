package options

import (
	"fmt"
	"strings"
)

const helpIntro = `sidecar has files scanned for malware by a clamav service, and passes on its verdict.
Nothing is called clean unless clamd has scanned all of it.

Usage:
  sidecar [flags]               serve until SIGTERM or SIGINT
  sidecar scan [flags] FILE...  scan files and exit; - is standard input
  sidecar --version
  sidecar --help

Each flag can be set by an environment variable too, which is named behind it.
A flag wins over its variable.
`

const helpOutro = `
Exit codes:
  sidecar       0 after a shutdown, 1 when something failed, 2 for a wrong flag or value
  sidecar scan  0 all files are clean
                1 a file is infected, or could not be looked at fully (encrypted, over a limit)
                2 no file is, but one got no verdict; also for a wrong flag or value
`

// Help is the text of --help.
func Help() string {
	var (
		text  strings.Builder
		opts  = defaults()
		group string
	)
	text.WriteString(helpIntro)
	for _, s := range opts.settings() {
		if s.group != group {
			group = s.group
			fmt.Fprintf(&text, "\n%s:\n", group)
		}
		fmt.Fprintf(&text, "  --%s\n", strings.TrimSpace(s.name+" "+s.value.Type()))
		for line := range strings.Lines(s.usage) {
			fmt.Fprintf(&text, "        %s\n", strings.TrimSuffix(line, "\n"))
		}
		fmt.Fprintf(&text, "        default %s; %s\n", s.value, envName(s.name))
	}
	text.WriteString(helpOutro)
	return text.String()
}
