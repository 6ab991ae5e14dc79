//go:build unix

package main

import "syscall"

// ownGroup starts a process in a group of its own, so that a terminal's
// interrupt reaches it only through us.
func ownGroup() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
