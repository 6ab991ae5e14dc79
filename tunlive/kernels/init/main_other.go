//go:build !linux

// Command init is for Linux.
package main

func main() {}
