package main

import (
	"errors"
	"syscall"
	"time"
)

// sleepUntil is exact to some 0.1 ms. time.Sleep wakes up to 1 ms late in a
// process that does nothing else (epoll_wait counts in milliseconds).
func sleepUntil(moment time.Time) {
	left := syscall.NsecToTimespec(max(0, time.Until(moment).Nanoseconds()))
	for errors.Is(syscall.Nanosleep(&left, &left), syscall.EINTR) {
		continue // for what is left
	}
}
