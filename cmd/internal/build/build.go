// Package build tells what the programs were built from.
package build

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

// version is set by the build, with
// -ldflags "-X clamav-sidecar/cmd/internal/build.version=...".
var version string

// Version is the release, or the commit that the program was built from.
func Version() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "unknown"
}

// Line is what --version prints.
func Line() string {
	return fmt.Sprintf("clamav-sidecar %s (%s, %s/%s)", Version(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
}
