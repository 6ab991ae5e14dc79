// SPDX-License-Identifier: MIT

//go:build !linux

// Command init is for Linux only.
package main

func main() {}
