//go:build unix && !linux

package clamd

import "syscall"

// processAttributes leaves clamd in the process group of its owner, so that
// Ctrl-C in a terminal ends both: without Linux's parent-death signal nothing
// else would end a clamd whose owner is interrupted.
func processAttributes() *syscall.SysProcAttr { return nil }
