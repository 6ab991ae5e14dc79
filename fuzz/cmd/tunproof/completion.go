// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"

	"tunproof/fuzz/record"
)

const completionHelp = `
Prints a script that makes a shell complete the commands of tunproof, their flags, and the
values of flags that take one of a few words. It is made from the list of commands. The
command must be on the path, under the name tunproof:

  bash  eval "$(tunproof completion bash)"                                  in ~/.bashrc
  zsh   eval "$(tunproof completion zsh)"                in ~/.zshrc, after compinit
  fish  tunproof completion fish > ~/.config/fish/completions/tunproof.fish         once
`

// shells has a function for each shell that writes its script.
var shells = map[string]func(io.Writer, []completed){"bash": bashScript, "zsh": zshScript, "fish": fishScript}

func completionCommand(ctx context.Context, s streams, args []string) (int, error) {
	flags := flag.NewFlagSet("completion", flag.ContinueOnError)
	if err := parse(flags, args); err != nil {
		return 0, err
	}
	script, known := shells[flags.Arg(0)]
	if flags.NArg() != 1 || !known {
		return 0, fmt.Errorf("%w: give one shell: bash, zsh or fish", errUsage)
	}
	script(s.out, completions(ctx))
	return record.ExitHolds, nil
}

// completed is what a shell knows of a command, or of a part of the command corpus.
type completed struct {
	name  string // "check", "corpus fmt"; "" for tunproof itself
	about string
	words []option // words that may follow the name, such as the names of parts
	flags []option
}

// option is a flag or a word.
type option struct {
	name, about string
	takes       bool     // a flag that takes a value
	values      []string // the values that it takes, if they are a few words
}

// completions returns what a shell knows, from the list of commands.
func completions(ctx context.Context) []completed {
	words := func(list []command) (words []option) {
		for _, c := range list {
			words = append(words, option{name: c.word(), about: c.about})
		}
		return words
	}
	all := []completed{
		{words: append(words(commands), option{name: "help", about: "describe a command"})},
		{name: "help", about: "describe a command", words: words(commands)},
	}
	for _, c := range slices.Concat(commands, corpusParts()) {
		d := completed{name: c.name, about: c.about}
		if c.name == "corpus" {
			d.words = words(corpusParts())
		} else {
			d.flags = flagsOf(ctx, c)
		}
		if shells := choice.FindString(c.args); shells != "" && len(d.flags) == 0 {
			for _, w := range strings.Split(shells, "|") {
				d.words = append(d.words, option{name: w, about: "for " + w})
			}
		}
		all = append(all, d)
	}
	return all
}

// choice matches words of which one is to be given, in a usage line.
var choice = regexp.MustCompile(`[a-z]+(\|[a-z]+)+`)

// flagsOf returns the flags of a command.
func flagsOf(ctx context.Context, c command) (list []option) {
	_, err := c.run(ctx, streams{strings.NewReader(""), io.Discard, io.Discard}, []string{"-h"})
	var asked helpError
	if !errors.As(err, &asked) {
		return nil
	}
	asked.flags.VisitAll(func(f *flag.Flag) {
		takes, about := flag.UnquoteUsage(f)
		o := option{name: "-" + f.Name, about: about, takes: takes != ""}
		if _, after, found := strings.Cut(c.args, o.name+" "); found {
			if at := choice.FindStringIndex(after); at != nil && at[0] == 0 {
				o.values = strings.Split(after[:at[1]], "|")
			}
		}
		list = append(list, o)
	})
	return list
}

// joined returns the names of options, separated by spaces.
func joined(list []option) string {
	var names []string
	for _, o := range list {
		names = append(names, o.name)
	}
	return strings.Join(names, " ")
}

// quoted returns a text as one word of a shell.
func quoted(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }

func bashScript(w io.Writer, all []completed) {
	fmt.Fprint(w, `# Completes tunproof in bash; "tunproof completion bash" wrote it.
_tunproof() {
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} name= words= flags= values=
	[ "$COMP_CWORD" -gt 1 ] && name=${COMP_WORDS[1]}
	[ "$name" = corpus ] && [ "$COMP_CWORD" -gt 2 ] && name="corpus ${COMP_WORDS[2]}"
	case "$name" in
`)
	for _, c := range all {
		fmt.Fprintf(w, "\t%s) words=%s flags=%s ;;\n", quoted(c.name), quoted(joined(c.words)), quoted(joined(c.flags)))
	}
	fmt.Fprint(w, "\tesac\n\tcase \"$name $prev\" in\n")
	for _, c := range all {
		for _, o := range c.flags {
			if o.values != nil {
				fmt.Fprintf(w, "\t%s) values=%s ;;\n", quoted(c.name+" "+o.name), quoted(strings.Join(o.values, " ")))
			}
		}
	}
	fmt.Fprint(w, `	esac
	[ -n "$values" ] && words=$values flags=
	case "$cur" in -*) words=$flags ;; esac
	COMPREPLY=($(compgen -W "$words" -- "$cur"))
}
complete -o default -F _tunproof tunproof
`)
}

func zshScript(w io.Writer, all []completed) {
	fmt.Fprint(w, `#compdef tunproof
# Completes tunproof in zsh; "tunproof completion zsh" wrote it.
_tunproof() {
	local name=
	local -a list flags values
	(( CURRENT > 2 )) && name=$words[2]
	[[ $name == corpus ]] && (( CURRENT > 3 )) && name="corpus $words[3]"
	case "$name" in
`)
	described := func(list []option) string {
		var words []string
		for _, o := range list {
			words = append(words, quoted(o.name+":"+o.about))
		}
		return strings.Join(words, " ")
	}
	for _, c := range all {
		fmt.Fprintf(w, "\t%s) list=(%s) flags=(%s) ;;\n", quoted(c.name), described(c.words), described(c.flags))
	}
	fmt.Fprint(w, "\tesac\n\tcase \"$name $words[CURRENT-1]\" in\n")
	for _, c := range all {
		for _, o := range c.flags {
			if o.values != nil {
				fmt.Fprintf(w, "\t%s) values=(%s) ;;\n", quoted(c.name+" "+o.name), strings.Join(o.values, " "))
			}
		}
	}
	fmt.Fprint(w, `	esac
	if (( $#values )); then
		compadd -a values
	elif [[ $words[CURRENT] == -* ]]; then
		_describe flag flags
	elif (( $#list )); then
		_describe command list
	else
		_files
	fi
}
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
	_tunproof "$@"
else
	compdef _tunproof tunproof
fi
`)
}

func fishScript(w io.Writer, all []completed) {
	fmt.Fprint(w, `# Completes tunproof in fish; "tunproof completion fish" wrote it.
function __tunproof_at
	set -l words (commandline -opc)
	set -e words[1]
	string match -qr -- "^$argv[1]"'( -.*)?$' "$words"
end
`)
	for _, c := range all {
		at := quoted("__tunproof_at " + quoted(c.name))
		for _, o := range c.words {
			fmt.Fprintf(w, "complete -c tunproof -f -n %s -a %s -d %s\n", at, quoted(o.name), quoted(o.about))
		}
		for _, o := range c.flags {
			more := ""
			switch {
			case o.values != nil:
				more = " -x -a " + quoted(strings.Join(o.values, " "))
			case o.takes:
				more = " -r"
			}
			fmt.Fprintf(w, "complete -c tunproof -n %s -o %s%s -d %s\n", at, strings.TrimPrefix(o.name, "-"), more, quoted(o.about))
		}
	}
}
