// SPDX-License-Identifier: MIT

// Command tunproof checks packet offload against a model, the Linux kernel and real
// traffic, and shows what package offload makes of packets.
package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"tunproof/fuzz/internal/usage"
	"tunproof/fuzz/record"
)

// command is a command of tunproof, or a part of its command corpus.
type command struct {
	name  string
	args  string // what follows the name in the usage line
	about string // one line for the list of commands
	help  string // what the command does and prints
	exits string // the exit codes, "" for exitCodes
	run   func(ctx context.Context, io streams, args []string) (int, error)
}

// streams are where a command reads and writes.
type streams struct {
	in       io.Reader
	out, err io.Writer
}

// exitCodes are the exit codes of a command that prints a table of rows, unless it states
// others.
const exitCodes = "Exit codes: 0 every row that ran holds, 1 a row is violated, 2 usage, infrastructure or an interrupt,\n3 no row ran. A row that was not run does not change the exit code."

// commands are all commands. The file self.go adds those about tunproof itself.
var commands = []command{
	{"verify", "[-seed N] [-checks N] [-fuzz N] [-live TIME] [-cache DIR] [-run REGEXP] [-json]",
		"check offload once with every method: corpus, captures, properties, this machine's kernel, fuzz targets",
		verifyHelp, "", verifyCommand},
	{"live", "[-time TIME | -count N [-superpackets N] [-state FILE]] [-traffic PERCENT] [-seed N] [-run REGEXP] [-user UID] [-json]",
		"compare offload with this machine's kernel",
		liveHelp, "", liveCommand},
	{"kernels", "[-series NAMES] [-count N] [-stride N] [-seed N] [-at-once N] [-cache DIR] [-state FILE] [-o FILE] [-json]\n" +
		"       tunproof kernels -report FILE [-into DOC [-block NAME]]",
		"compare offload with kernels of several versions, in virtual machines",
		kernelsHelp, "", kernelsCommand},
	{"conformance", "[-time TIME] [-impl NAMES] [-corpus] [-seed N] [-o FILE] [-svg FILE] [-found] [-json]\n" +
		"       tunproof conformance -report FILE [-svg FILE] [-found] [-json]",
		"check other implementations, and the kernel's GRO, against the properties of offload",
		conformanceHelp, conformanceExits, conformanceCommand},
	{"evidence", "[-run-missing] [-version VERSION] [-o DIR] [-json]\n" +
		"       tunproof evidence -claim ID [-seed SEED]",
		"collect the result records of this source tree in docs/evidence",
		evidenceHelp, evidenceExits, evidenceCommand},
	{"fuzz", "[-time TIME] [-engine native|libfuzzer] [-dir DIR] [-run REGEXP] [-at-once N] [-workers N] [-timeout TIME] [-memory MB]\n" +
		"       [-empty] [-first] [-no-canary] [-plant NAME [-bugs FILE]] [-json]\n" +
		"       tunproof fuzz -report FILE [-into DOC]",
		"run a fuzzing campaign, or resume the one in its directory",
		fuzzHelp, fuzzExits, fuzzCommand},
	{"detect", "[-run REGEXP] [-o FILE]\n       tunproof detect -report FILE [-into DOC]",
		"measure how soon each fuzzing engine finds planted bugs",
		detectHelp, detectExits, detectCommand},
	{"exhaustive", "[-letters N] [-size N] [-kernel [-stride N]] [-state FILE] [-run REGEXP] [-json]\n       tunproof exhaustive -list [-letters N]",
		"compare offload with the model on every batch of a small set of packets, and every small superpacket",
		exhaustiveHelp, "", exhaustiveCommand},
	{"mutants", "[-of planted|offload|model|harness|DIR] [-bugs FILE] [-deep] [-first] [-run REGEXP] [-draw N -by TEXT] [-workers N]\n" +
		"       [-state FILE] [-o FILE] [-json]\n       tunproof mutants -list [-of SET] [-run REGEXP]\n       tunproof mutants -report page|rows",
		"plant bugs, one at a time, and report which tests detect each",
		mutantsHelp, mutantsExits, mutantsCommand},
	{"check", "[-wire] [-mtu N] [-certain] [-max N] [-o OUT] [-html FILE] [-json] CAPTURE...",
		"find wrong packets in a capture",
		checkHelp, checkExits, checkCommand},
	{"compare", "[-ignore FIELDS] [-size N] [-max N] [-o NAME] [-html FILE] [-json] BEFORE AFTER",
		"compare captures from both sides of an offload: find changed, lost, duplicated and reordered packets",
		compareHelp, compareExits, compareCommand},
	{"replay", "[-batch N] [-order inorder|reorder] [-absent] [-atomic] [-complete] [-target NAME] [-plant NAME [-bugs FILE]] [-kernel] [-q] [-pcap OUT] [-o CASE] [-html FILE] [-json] FILE...",
		"run offload on a capture, a case, packets as text or a crasher, and check the result",
		replayHelp, replayExits, replayCommand},
	{"trial", "[-draws N] [-seed N] [-run REGEXP] [-o FILE] [-json]\n       tunproof trial -report FILE [-into DOC]",
		"put check on trial: plant faults in right traffic, and see whether it names them",
		trialHelp, "", trialCommand},
	{"anonymise", "-o DIR [-size N] CAPTURE...",
		"copy captures without their addresses and payload",
		anonymiseHelp, anonymiseExits, anonymiseCommand},
	{"corpus", "PART [ARGUMENTS]",
		"check, format, record, import, export, minimise or measure test inputs",
		"", "", corpusCommand},
	{"rules", "", "print docs/rules.md: every rule with its cases", rulesHelp, "Exit codes: 0 printed, 2 usage or infrastructure.", rulesCommand},
}

// groups has the names of all commands, by the reader who needs them.
var groups = []struct {
	title string
	names []string
}{
	{"To find a bug in captures and packets", []string{"check", "compare", "replay", "anonymise"}},
	{"To check offload, and to fuzz", []string{"verify", "live", "exhaustive", "kernels", "fuzz", "corpus"}},
	{"To judge the tests, and for evidence", []string{"mutants", "detect", "trial", "conformance", "evidence", "rules"}},
	{"About this command", []string{"version", "completion"}},
}

// named returns the command with a name in a list.
func named(list []command, name string) (command, bool) {
	i := slices.IndexFunc(list, func(c command) bool { return c.name == name })
	if i < 0 {
		return command{}, false
	}
	return list[i], true
}

// word returns the last word of the command's name: of "corpus fmt" it is fmt.
func (c command) word() string { return c.name[strings.LastIndexByte(c.name, ' ')+1:] }

// words returns the words that name commands.
func words(list []command) []string {
	var words []string
	for _, c := range list {
		words = append(words, c.word())
	}
	return words
}

// list returns one line for each command.
func list(commands []command) string {
	var b strings.Builder
	width := 0
	for _, c := range commands {
		width = max(width, len(c.name))
	}
	for _, c := range commands {
		fmt.Fprintf(&b, "  %-*s  %s\n", width, c.name, c.about)
	}
	return b.String()
}

const about = `
Checks package offload, which joins packets to superpackets and cuts superpackets into
segments for a TUN device. A superpacket is one packet that stands for several; its
virtio_net_hdr (VnetHdr) describes them. The commands check, compare and anonymise work
on captures of any program. A case is a file of the corpus: an input and its expected
outcome. A crasher is an input on which a fuzz target failed.
`

// help returns the list of commands, by reader.
func help() string {
	var b strings.Builder
	fmt.Fprint(&b, "usage: tunproof COMMAND [ARGUMENTS]\n", about)
	for _, g := range groups {
		var members []command
		for _, name := range g.names {
			c, _ := named(commands, name)
			members = append(members, c)
		}
		fmt.Fprintf(&b, "\n%s:\n%s", g.title, list(members))
	}
	b.WriteString("\n\"tunproof help COMMAND\" describes a command, its flags, its output and its exit codes.\n\n" +
		"Exit codes: 0 holds, 1 a property is violated, 2 usage or infrastructure,\n" +
		"3 no verdict: nothing ran, or too little.\n")
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

// errUsage is the error of a command that was called with wrong arguments.
var errUsage = errors.New("usage")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the process
	out := onTerminal(os.Stdout)
	code := run(ctx, streams{os.Stdin, out, os.Stderr}, os.Args[1:])
	if p, is := out.(*painter); is {
		p.flush()
	}
	os.Exit(code)
}

// run runs the command line and returns the exit code.
func run(ctx context.Context, s streams, args []string) int {
	if len(args) == 0 {
		fmt.Fprint(s.err, help())
		return record.ExitUsage
	}
	if slices.Contains([]string{"help", "-h", "-help", "--help"}, args[0]) {
		if len(args) == 1 {
			fmt.Fprint(s.out, help())
			return record.ExitHolds
		}
		args = append(slices.Clip(args[1:]), "-h")
	}
	if c, is := named(commands, args[0]); is {
		return c.call(ctx, s, args[1:])
	}
	fmt.Fprintf(s.err, "tunproof: unknown command %q%s\n\"tunproof help\" lists the commands.\n", args[0], usage.Meant(args[0], words(commands)))
	return record.ExitUsage
}

// call runs the command, prints its help or its error, and returns the exit code.
func (c command) call(ctx context.Context, s streams, args []string) int {
	out := &keptError{w: s.out}
	s.out = out
	code, err := c.run(ctx, s, args)
	line := strings.TrimSpace("usage: tunproof "+c.name+" "+c.args) + "\n"
	var asked helpError
	if errors.As(err, &asked) {
		fmt.Fprint(s.out, line, c.help)
		if text := asked.describe(); text != "" {
			fmt.Fprintf(s.out, "\nFlags:\n%s", text)
		}
		fmt.Fprintf(s.out, "\n%s\n", cmp.Or(c.exits, exitCodes))
		return record.ExitHolds
	}
	if err == nil {
		err = out.err
	}
	if err != nil {
		fmt.Fprintf(s.err, "tunproof %s: %v\n", c.name, err)
		if errors.Is(err, errUsage) {
			fmt.Fprintf(s.err, "%s\"tunproof %s -h\" describes it.\n", line, c.name)
		}
		return record.ExitUsage
	}
	return code
}

// finish writes what a command collected, as records or as a table with the verdict,
// and returns the exit code.
func finish(s streams, r *record.Collector, asJSON bool, print func(io.Writer)) (int, error) {
	code, verdict := r.Verdict()
	if asJSON {
		return code, record.Write(s.out, r.Rows)
	}
	print(s.out)
	fmt.Fprintf(s.out, "\n%s\n", verdict)
	return code, nil
}
