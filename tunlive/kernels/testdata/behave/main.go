// Command behave runs in a guest and ends in the way that its argument names.
package main

import (
	"fmt"
	"os"
	"time"
)

func main() {
	how := os.Args[1]
	fmt.Println("behave:", how, os.Getenv("K"))
	switch how {
	case "well":
		if _, err := os.Stat("/dev/net/tun"); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Print("a line without an end")
	case "fail":
		fmt.Println("--- FAIL: TestBehave")
		os.Exit(1)
	case "hang":
		for {
			time.Sleep(time.Hour)
		}
	case "panic":
		time.Sleep(300 * time.Millisecond) // until init has passed on the output
		fmt.Println(os.WriteFile("/proc/sysrq-trigger", []byte("c"), 0))
	}
}
