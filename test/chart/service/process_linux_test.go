package service_test

import "syscall"

// processAttributes gives a program its process group and, unless user is 0, a
// user and group, and has the kernel kill it when the tests are killed.
func processAttributes(user uint32) *syscall.SysProcAttr {
	attributes := &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if user != 0 {
		attributes.Credential = &syscall.Credential{Uid: user, Gid: user}
	}
	return attributes
}
