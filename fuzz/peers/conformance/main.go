// Command conformance judges the implementations of package peers by package conform, and
// writes what each does wrong.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"time"

	"tunproof/fuzz/conform"
	"tunproof/fuzz/peers"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "conformance:", err)
		os.Exit(2)
	}
}

func run() error {
	opt := conform.Options{Say: func(f string, args ...any) { fmt.Fprintf(os.Stderr, f+"\n", args...) }}
	flag.BoolVar(&opt.Corpus, "corpus", false, "the corpus' cases, too")
	flag.Uint64Var(&opt.Seed, "seed", 1, "of generated input")
	flag.DurationVar(&opt.Time, "time", time.Minute, "for each implementation")
	only := flag.String("impl", "", "only these, by commas")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	for _, i := range peers.All() {
		if *only != "" && !strings.Contains(","+*only+",", ","+i.Name+",") {
			continue
		}
		r, err := conform.Explore(ctx, i.Conform(), opt)
		if err != nil {
			return err
		}
		fmt.Printf("%s %s: %d violations, %d flaky, %v\n", r.Impl, r.Version, len(r.Found), r.Flaky, r.Inputs)
		for _, f := range r.Found {
			fmt.Printf("  %7.2f s %6d times  %s  (%s)\n", f.Seconds, f.Count, f.Key(), f.Source)
		}
	}
	return nil
}
