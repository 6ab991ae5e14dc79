// SPDX-License-Identifier: MIT

// Package page writes the report of check, compare or replay as one HTML page that needs no
// other file. It judges nothing: verdicts, counts and the text of findings are those of the
// report that is printed. To these it adds the bytes of the packets, with the fields marked
// that a finding is about, and pictures of the flows.
//
// Names of files, comments and packets may hold any bytes: all of them are escaped. The
// page forbids the browser to load anything (Content-Security-Policy), and has no script.
package page

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"html/template"
	"io"
	"os"
	"unicode"
)

// Page is the report of one run of a command.
type Page struct {
	Command  string // "check", "compare" or "replay"
	Sections []Section
}

// Section is the report of one capture, or of the two captures that were compared.
type Section struct {
	Title    string // the names of the files
	Result   string // a result of package record, or Suspect
	Verdict  string
	About    []string // what was judged
	Kinds    []Kind
	Notes    []string
	Pictures []Picture
	Undrawn  string // which flows have no picture, "" if all have one
	Lists    []List
}

// First returns the pictures that stand before the findings: those of the first flow.
func (s Section) First() []Picture { return s.Pictures[:s.firstFlow()] }

// Rest returns the pictures of the other flows.
func (s Section) Rest() []Picture { return s.Pictures[s.firstFlow():] }

func (s Section) firstFlow() (n int) {
	for n < len(s.Pictures) && s.Pictures[n].Flow == s.Pictures[0].Flow {
		n++
	}
	return n
}

// Suspect is the Result of a section whose findings are all suspect.
const Suspect = "suspect"

// Kind is a row of the table of findings.
type Kind struct {
	N          int
	Name, Rule string // Rule may be ""
	Suspect    bool
}

// List is a list of findings with a title.
type List struct {
	Title    string
	Findings []Finding
	Left     string // what the list lacks, and how to see it; "" if it lacks nothing
}

// Finding is a finding as the report prints it, with the packets that it is about.
type Finding struct {
	Text  string   // the line that is printed
	More  []string // the lines that are printed after it
	Dumps []Dump   // side by side; none if the bytes are left out

	ID   string // is set by Write, like Open
	Open bool   // unfolded at first
}

// Bounds keep a page usable. What they leave out, the page says.
const (
	MostLines  = 10_000 // findings of a list
	MostDumped = 500    // findings of a list with the bytes of their packets
	opened     = 3      // findings that are unfolded at first
)

// Bound cuts a list to its bounds. left counts the findings that the report itself does not
// keep. advice is how these, and those that Bound removes, can be seen.
func (l *List) Bound(left int, advice string) {
	if n := len(l.Findings) - MostLines; n > 0 {
		left += n
		l.Findings = l.Findings[:MostLines]
	}
	if left > 0 {
		l.Left = fmt.Sprintf("%d more left out; %s", left, advice)
	}
	if n := len(l.Findings) - MostDumped; n > 0 {
		for i := range l.Findings[MostDumped:] {
			l.Findings[MostDumped+i].Dumps = nil
		}
		if l.Left != "" {
			l.Left += ". "
		}
		l.Left += fmt.Sprintf("The last %d are shown without the bytes of their packets", n)
	}
}

//go:embed page.html
var text string

var parsed = template.Must(template.New("page").Funcs(template.FuncMap{
	"dump":  layDump,
	"chart": layChart,
}).Parse(text))

// Write writes the page as HTML.
func (p *Page) Write(w io.Writer) error {
	for s := range p.Sections {
		for i := range p.Sections[s].Pictures {
			p.Sections[s].Pictures[i].id = fmt.Sprintf("s%d-picture%d", s, i+1)
		}
		n := 0
		for l := range p.Sections[s].Lists {
			for i := range p.Sections[s].Lists[l].Findings {
				n++
				f := &p.Sections[s].Lists[l].Findings[i]
				f.ID, f.Open = fmt.Sprintf("s%d-finding%d", s, n), n <= opened
			}
		}
	}
	var b bytes.Buffer
	if err := parsed.Execute(&b, p); err != nil {
		return err
	}
	_, err := w.Write(bytes.Map(printable, bytes.ToValidUTF8(b.Bytes(), []byte("\uFFFD"))))
	return err
}

// printable returns r, or the replacement character for what a page should not have: control
// characters, and those that change the direction of text.
func printable(r rune) rune {
	if r == '\n' || r == '\t' || unicode.IsPrint(r) {
		return r
	}
	return unicode.ReplacementChar
}

// Rereadable returns an error if a file cannot be read twice, as Check and Compare do.
func Rereadable(names ...string) error {
	for _, name := range names {
		if name == "-" {
			return errors.New("-html and -o read a capture twice, so it cannot come from standard input")
		}
		if info, err := os.Stat(name); err == nil && !info.Mode().IsRegular() && !info.IsDir() {
			return fmt.Errorf("-html and -o read a capture twice, and %s is not a regular file", name)
		}
	}
	return nil
}
