package clamd

import "syscall"

// processAttributes puts clamd into a process group of its own, so that Ctrl-C
// in a terminal reaches only its owner, who stops it in order, and lets the
// kernel kill it when its owner dies. Strictly, when the thread that started it
// ends: the Go runtime keeps its threads, unless a goroutine exits while locked
// to one.
func processAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
