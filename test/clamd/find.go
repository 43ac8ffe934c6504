package clamd

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
)

// installDirs are where packages put ClamAV's programs and PATH may not lead:
// Debian puts clamd into /usr/sbin, Homebrew into an sbin of its own.
var installDirs = []string{
	"/usr/sbin", "/usr/local/sbin", "/usr/bin", "/usr/local/bin",
	"/opt/homebrew/sbin", "/opt/homebrew/bin",
	"/opt/homebrew/opt/clamav/sbin", "/opt/homebrew/opt/clamav/bin",
	"/usr/local/opt/clamav/sbin", "/usr/local/opt/clamav/bin",
}

// Find returns the path of one of ClamAV's programs, such as clamd, clamscan,
// clamdscan or freshclam, from PATH or from where packages install it.
func Find(program string) (string, error) {
	if path, err := exec.LookPath(program); err == nil {
		return filepath.Abs(path)
	}
	for _, dir := range installDirs {
		if path, err := exec.LookPath(filepath.Join(dir, program)); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("find %s: it is neither in PATH nor in %s; install it with `make clamav`",
		program, strings.Join(installDirs, ", "))
}
