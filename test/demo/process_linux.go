package main

import "syscall"

// processAttributes puts a program into a process group of its own, so that
// Ctrl-C reaches the demo alone, which then stops everything in order, and has
// the kernel kill it when the demo itself is killed.
func processAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
