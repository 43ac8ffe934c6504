// Package options reads the sidecar's flags and environment variables, and
// writes the help on them. Defaults and bounds are those of package sidecar.
package options

import (
	"maps"
	"regexp"
	"slices"
	"strings"
)

// envPrefix begins the name of each environment variable that sets a flag.
const envPrefix = "CLAMAV_SIDECAR_"

// envName is the environment variable of a flag.
func envName(flag string) string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// serviceLink matches, without the prefix, the variables that Kubernetes gives
// to every pod of a namespace with a Service named clamav-sidecar, or
// clamav-sidecar-something.
var serviceLink = regexp.MustCompile(`^(\w+_)?(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)$`)

// environment holds the variables that concern us.
type environment struct {
	ours      map[string]string // by name, envPrefix included
	clamdConf string            // CLAMD_CONF_FILENAME, which clamd's clients know too
}

// newEnvironment reads NAME=VALUE pairs.
func newEnvironment(pairs []string) environment {
	env := environment{ours: map[string]string{}}
	for _, pair := range pairs {
		name, text, _ := strings.Cut(pair, "=")
		switch {
		case name == "CLAMD_CONF_FILENAME":
			env.clamdConf = text
		case strings.HasPrefix(name, envPrefix):
			env.ours[name] = text
		}
	}
	return env
}

// take gives the variable of a flag, and takes it out.
func (e environment) take(flag string) (text string, found bool) {
	name := envName(flag)
	text, found = e.ours[name]
	delete(e.ours, name)
	return text, found
}

// strangers are the names that were not taken, but for those that Kubernetes
// makes up. They are no error: a Service's name must not stop a pod.
func (e environment) strangers() []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(e.ours)), func(name string) bool {
		return serviceLink.MatchString(strings.TrimPrefix(name, envPrefix))
	})
}
