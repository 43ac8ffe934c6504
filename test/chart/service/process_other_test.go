//go:build unix && !linux

package service_test

import "syscall"

// processAttributes gives a program its process group and, unless user is 0, a
// user and group.
func processAttributes(user uint32) *syscall.SysProcAttr {
	attributes := &syscall.SysProcAttr{Setpgid: true}
	if user != 0 {
		attributes.Credential = &syscall.Credential{Uid: user, Gid: user}
	}
	return attributes
}
