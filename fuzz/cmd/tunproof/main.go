// Command tunproof checks that package offload is right, and shows what it makes
// of packets.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"tunproof/fuzz/record"
)

// command is one of tunproof's.
type command struct {
	name, args, about string
	run               func(ctx context.Context, io streams, args []string) (int, error)
}

// streams are where a command reads and writes.
type streams struct {
	in       io.Reader
	out, err io.Writer
}

var commands = []command{
	{"verify", "[-seed N] [-checks N] [-fuzz N] [-live TIME] [-cache DIR] [-run REGEXP] [-json]",
		"the corpus, the captures, each property, this machine's kernel and each fuzz target, then a table", verifyCommand},
	{"live", "[-time 60s] [-count N [-superpackets N] [-state FILE]] [-traffic PERCENT] [-seed N] [-run REGEXP] [-user UID] [-json]",
		"ask the kernel of this machine, in network namespaces of its own, then a table", liveCommand},
	{"kernels", "[-series NAMES] [-count N] [-stride N] [-seed N] [-at-once N] [-cache DIR] [-state FILE] [-o FILE] [-report FILE [-into DOC [-block NAME]]] [-json]",
		"ask the kernels that people run, in virtual machines: K1 to K5, the device's tests, what each is expected to do", kernelsCommand},
	{"conformance", "[-time TIME] [-seed N] [-impl NAMES] [-corpus] [-found] [-o FILE] [-report FILE] [-svg FILE] [-json]",
		"the same properties asked of other implementations, and of the kernel's GRO: which each holds, and what it does instead", conformanceCommand},
	{"evidence", "[-run-missing] [-version NAME] [-o DIR] [-json]",
		"gather what all of these found of this tree into docs/evidence: claims, report, results, pictures", evidenceCommand},
	{"fuzz", "[-time TIME] [-engine native|libfuzzer] [-dir DIR] [-run REGEXP] [-at-once N] [-workers N] [-empty] [-first] [-plant NAME] [-json]",
		"a fuzzing campaign, until it is interrupted or its time is up; it goes on with what its directory has", fuzzCommand},
	{"detect", "[-run REGEXP] [-o FILE] [-report FILE]",
		"how soon each engine finds bugs that are planted, from the seeds and from nothing", detectCommand},
	{"exhaustive", "[-letters N] [-size N] [-kernel [-stride N]] [-state FILE] [-run REGEXP] [-list] [-json]",
		"every batch of a small alphabet of packets, and every superpacket of small sizes and of pairs of fields at their edges", exhaustiveCommand},
	{"mutants", "[-of planted|offload|model] [-deep] [-first] [-run REGEXP] [-draw N -by TEXT] [-state FILE] [-o FILE] [-workers N] [-report page|rows] [-json]",
		"what the harness would notice: bugs planted, one at a time, and what notices each", mutantsCommand},
	{"check", "[-wire] [-mtu N] [-certain] [-max N] [-json] CAPTURE...",
		"what is wrong with packets that somebody's code made: packet, field, rule, and the known bug that it is like", checkCommand},
	{"compare", "[-ignore FIELDS] [-size N] [-max N] [-json] BEFORE AFTER",
		"what somebody's offload changed, lost, doubled or put in another order, from captures on both sides of it", compareCommand},
	{"replay", "[-batch N] [-order reorder] [-atomic] [-complete] [-target NAME] [-kernel] [-q] [-pcap OUT] [-o CASE] [-json] FILE...",
		"what offload makes of a .pkts case, a capture, packets as text or a fuzz crasher, and whether it is right", replayCommand},
	{"anonymise", "-o DIR [-size N] CAPTURE...", "write captures without addresses and payload, built as they were", anonymiseCommand},
	{"corpus", "check|fmt [FILE...]\n  tunproof corpus record -o DIR [NAME...]\n  tunproof corpus import|export|minimise|coverage [-dir DIR] ...", "check that cases are complete and well written, or make them so by the model; " +
		"inputs of engines: to and from a campaign's directory, fewer that reach as much, what of offload they reach", corpusCommand},
	{"rules", "", "print docs/rules.md: each rule and its cases", rulesCommand},
}

func usage() string {
	var b strings.Builder
	b.WriteString("usage: tunproof COMMAND [ARGUMENTS]\n\n")
	for _, c := range commands {
		fmt.Fprintf(&b, "  tunproof %s %s\n        %s\n", c.name, c.args, c.about)
	}
	b.WriteString("\nExit codes: 0 holds, 1 a property is violated, 2 usage or infrastructure, 3 nothing ran, or most was not compared.\n")
	return b.String()
}

// keptError remembers the first write error, so that a report is printed without
// checking each line.
type keptError struct {
	w   io.Writer
	err error
}

func (k *keptError) Write(b []byte) (int, error) {
	if k.err != nil {
		return 0, k.err
	}
	n, err := k.w.Write(b)
	k.err = err
	return n, err
}

// errUsage is an error in how the command was called.
var errUsage = errors.New("usage")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the process
	os.Exit(run(ctx, streams{os.Stdin, os.Stdout, os.Stderr}, os.Args[1:]))
}

// run runs the command line and returns the exit code.
func run(ctx context.Context, s streams, args []string) int {
	if len(args) == 0 {
		fmt.Fprint(s.err, usage())
		return record.ExitUsage
	}
	if args[0] == "help" || args[0] == "-h" || args[0] == "--help" {
		fmt.Fprint(s.out, usage())
		return record.ExitHolds
	}
	for _, c := range commands {
		if c.name != args[0] {
			continue
		}
		out := &keptError{w: s.out}
		s.out = out
		code, err := c.run(ctx, s, args[1:])
		var help helpError
		if errors.As(err, &help) {
			fmt.Fprintf(s.out, "usage: tunproof %s %s\n  %s\n%v", c.name, c.args, c.about, help)
			return record.ExitHolds
		}
		if err == nil {
			err = out.err
		}
		if err != nil {
			fmt.Fprintf(s.err, "tunproof %s: %v\n", c.name, err)
			if errors.Is(err, errUsage) {
				fmt.Fprintf(s.err, "usage: tunproof %s %s\n", c.name, c.args)
			}
			return record.ExitUsage
		}
		return code
	}
	fmt.Fprintf(s.err, "tunproof: unknown command %q\n\n%s", args[0], usage())
	return record.ExitUsage
}

// finish shows what a command collected: records, or a table and the verdict. It
// returns the exit code.
func finish(s streams, r *record.Collector, asJSON bool, print func(io.Writer)) (int, error) {
	code, verdict := r.Verdict()
	if asJSON {
		return code, record.Write(s.out, r.Rows)
	}
	print(s.out)
	fmt.Fprintf(s.out, "\n%s\n", verdict)
	return code, nil
}
