// SPDX-License-Identifier: MIT

package mutants

// pageText is the template of docs/mutation.md.
const pageText = `# What the tests detect

For readers who ask how good the tests are: which deliberate bugs they detect, which they do not, and why.

A mutant is the code with one change in one file. ` + "`go build -overlay`" + ` builds the changed file in place of the original, so the source tree is
never touched. Code that writes to the kernel is never changed: a fragment with a GSO type can crash a kernel, so a guard must check every
write (rule K6). Each run of ` + "`make mutants`" + ` names the source tree that was tested, by a hash. ` + "`tunproof verify`" + ` shows the result, and says if what it
depends on was changed since. ` + "`make docs`" + ` writes this page from docs/evidence/current; the commands named below write those files.

## Planted bugs
{{with .planted}}
` + "`make mutants`" + ` plants bugs one at a time, and the tests detected **{{.Noticed}} of {{len .Lines}}**, in {{minutes .Seconds}} minutes (tree {{.Tree}}, {{.Env.CPU}},
{{.Env.NCPU}} cores, Linux {{.Env.Kernel}}, {{.Env.Go}}).{{with .Count "timed out"}} Of these, {{.}} were detected only because a test hung.{{end}}{{with .Detail}}
More bugs of the list were {{.}}.{{end}}

- Each bug in offload was tested against P1 to P7, P10 to P13 (400 generated scenarios each, and the small exhaustive sets), the corpus and the
  captures. Bugs that these did not detect were tested against offload's own tests (P8, P9, work) and the kernel (K1 to K3).
- Each bug in the device was tested against the device's tests, which run on a real TUN.
- {{with .Count "corpus only"}}{{.}} were detected only by a case of the corpus. They do not count as detected.{{else}}A bug that only a case of the corpus detects would not count as detected. There was none.{{end}}
- {{len $.refuted}} of the bugs are in functions that [the proofs](proofs.md) are about. {{$.refuted.Refuted}} are refuted, {{$.refuted.Cases}} of them with a case that
  ` + "`replay`" + ` finds violated (` + "`make prove PLANTED=1`" + `).

| method | detected | and by no other method |
|---|---|---|
{{range .ByMethod}}| {{.Method}} | {{.Noticed}} | {{.Alone}} |
{{end}}
P1 to P7 and P11 to P13 are rapid properties, P8 tests sums, P9 allocations, and P10 small scopes exhaustively. "work" bounds the work of a batch (C7), and
"unit" is offload's other tests.

[The rows](evidence/current/mutants.md) have each bug, what detected it, and the theorem that is false with it.
{{end}}
## Bugs by readers of the code

Four readers, who had seen none of the tests, planted ten bugs each in what they had read, those that they thought tests would miss. For most
that were not detected a test of the kind was written, and each was planted again (28 November 2026):

| package | detected at first | now | what was missing |
|---|---|---|---|
| offload | 4 of 10 | 10 | carries of 32 bits in the sum of a flow's key, sums of more than 64 KiB, a header appended over other bytes, more than 65,536 superpackets in a batch, a wrap in front, an outer partial sum of 0 |
| offload/tun | 3 of 10 | 10 | switches at the same time, queues that were closed, dumps during traffic, a restart, a thread in another namespace, a name that another interface took over, exec |
| fuzz/capture | 2 of 10 | 9 | a frame check sequence behind a wrong length, acknowledgements at the wrap, padding, copies behind superpackets, a chain of translations |
| fuzz/engine, conform, record, scenario, corpus/pkts | 7 of 10 | 8 | seeds that the test bug of a campaign must not get |

Not detected are: a key of anonymise that is tried twice; the time that one confirmation of a slow finding may take; inputs over 1 MiB, which only
` + "`corpus minimise`" + ` with libFuzzer meets. ` + "`tunproof mutants -bugs FILE`" + ` plants such bugs.

## Sabotage of the harness
{{with .harness}}
` + "`make mutants OF=harness`" + ` breaks the harness itself, in {{len .Lines}} ways: a property that returns nil at once, a verdict that is always good, a part of
` + "`verify`" + ` that is left out, an error that production and the model share. The tests noticed **{{.Noticed}}**, in {{minutes .Seconds}} minutes (tree {{.Tree}},
Linux {{.Env.Kernel}}). For each, a few of the tests of ` + "`make test`" + ` were asked, those that are there for it.

| sabotage | what | status | the test that fails |
|---|---|---|---|
{{range .Lines}}| {{.ID}} | {{cell .About}} | {{.Status}} | {{cell .Test}} |
{{end}}{{else}}
` + "`make mutants OF=harness`" + ` was not run yet.
{{end}}
## Mutations of offload
{{with .offload}}
` + "`make mutants OF=offload`" + ` makes small changes to offload, one at a time, in {{minutes .Seconds}} minutes (tree {{.Tree}}, {{.Env.CPU}}, {{.Env.NCPU}} cores, {{.Env.Go}}).
{{.Count "does not compile"}} of {{len .Lines}} mutations do not compile, and {{.Count "same machine code"}} compile to the same machine code. {{.Judged}} remain:

- **{{.Noticed}} are detected ({{percent .Noticed .Judged}} %)**, {{.Count "timed out"}} of them only because a test program took longer than 10 s.
- {{.Count "equivalent"}} are listed below as equivalent: they change nothing that could be detected. The tests detect {{percent .Noticed (sub .Judged (.Count "equivalent"))}} % of the others.
- {{.Count "survived"}} survive.

These files and parts are not mutated: checksum_arm64.go, which this machine does not build; assembly, which has mutations of its own; and the constants
VnetHdrLen and TunnelVnetHdrLen, on which the guard depends. checksum_noasm.go and checksum_nostamp.go are built with the tag purego, work_invariants.go with invariants.

| file | mutations | detected | of them timed out | equivalent, or the same machine code | do not compile | survive |
|---|---|---|---|---|---|---|
{{range .By "file"}}| {{.Name}} | {{.Mutants}} | {{.Noticed}} | {{.TimedOut}} | {{.Equal}} | {{.NotViable}} | {{.Escaped}} |
{{end}}
| operator | mutations | detected | of them timed out | equivalent, or the same machine code | do not compile | survive |
|---|---|---|---|---|---|---|
{{range .By "operator"}}| {{.Name}} | {{.Mutants}} | {{.Noticed}} | {{.TimedOut}} | {{.Equal}} | {{.NotViable}} | {{.Escaped}} |
{{end}}
The next table counts the mutations that each method detects. Only mutations that no other method detects are tested by unit, P9, work, and the part of
P8 that is in offload.

| method | detected | and by no other method |
|---|---|---|
{{range .ByMethod}}| {{.Method}} | {{.Noticed}} | {{.Alone}} |
{{end}}
### Timed out

{{range .With "timed out"}}- {{.ID}} (line {{.Line}}): {{code .About}}, {{.By}}
{{else}}None.
{{end}}
### Survived

{{range .With "survived"}}- {{.ID}} (line {{.Line}}): {{code .About}} in {{code .Source}}
{{else}}None.
{{end}}{{end}}
### Equivalent

An equivalent mutation changes the code but nothing that a test could see. fuzz/mutants/equivalent.go lists each with its ID, its line, and an argument
why it is equivalent. If the line changes, the entry no longer applies. The list below is for offload and for the model. ` + "`make mutants OF=offload DEEP=1`" + ` runs those of offload against
all small inputs: P10 as in ` + "`make test`" + `, and 5,000 generated scenarios of each property.{{with .deep}} Of tree {{.Tree}}, {{len .Lines}} were run, and {{.Noticed}} differed from the
original. Those that were listed later were not run so.{{end}}

{{range .Arguments}}- ({{len .List}}) {{.Why}}
{{end}}
## Mutations of the assembly
{{with .assembly}}
` + "`make mutants OF=assembly`" + ` changes one instruction of the sums in assembly at a time: it is deleted, exchanged with the next one if that matters, or
has another register, constant, offset, condition, width or operation. P8 compares every implementation with the plain sum (tree {{.Tree}}, {{.Env.CPU}}).
Of {{len .Lines}} mutations {{.Count "does not compile"}} do not compile. **{{.Noticed}} of the other {{.Judged}} are detected**, {{.Count "equivalent"}} are listed as equivalent, and {{.Count "survived"}} survive. Instructions that
the machine did not have are left out, and those of arm64 if there was no emulator (qemu-user).

{{range .With "survived"}}- {{.ID}} (line {{.Line}}): {{code .About}} in {{code .Source}}
{{end}}{{else}}
` + "`make mutants OF=assembly`" + ` was not run to its end yet. Its planted bugs are in the list above.
{{end}}
## Mutations of the model
{{with .model}}
` + "`make mutants OF=model`" + ` makes small changes to the model, one at a time, in {{minutes .Seconds}} minutes (tree {{.Tree}}, Linux {{.Env.Kernel}}). The kernel judges
the model, and production does not: K1 to K3 on generated scenarios, on the corpus, and on a packet with each bit flipped. Production only explains
known divergences. Of
{{len .Lines}} mutations {{.Count "does not compile"}} do not compile and {{.Count "same machine code"}} compile to the same machine code. {{.Judged}} remain:

- **{{.Has "kernel"}}** are detected by the kernel.
- A kernel cannot know Reasons, classes of refusal, and policy. **{{.Has "corpus"}}** mutations of such code are detected by the outcomes that the corpus states.
- {{sub (sub .Noticed (.Has "kernel")) (.Has "corpus")}} are detected only by a difference from production or by the model's own tests.
- {{.Count "equivalent"}} are listed as equivalent, and {{.Count "survived"}} survive.

{{.Count "timed out"}} of all mutations are detected only because a program hangs.

### Not detected by the kernel

{{range .Lines}}{{if .Unseen}}- {{.ID}} (line {{.Line}}): {{code .About}}, {{.By}}
{{end}}{{end}}
### Survived

{{range .With "survived"}}- {{.ID}} (line {{.Line}}): {{code .About}} in {{code .Source}}
{{else}}None.
{{end}}{{end}}
## Mutations of the tools
{{with .packages}}
` + "`make mutants OF=fuzz/capture/check`" + ` makes the same changes to a package of the harness. Its own tests judge them, without the random draws of
` + "`make trial`" + `.

| package | mutations | detected | equivalent, or the same machine code | do not compile | survive |
|---|---|---|---|---|---|
{{range .}}| {{.Package}} | {{len .Lines}} | {{.Noticed}} | {{.Alike}} | {{.Count "does not compile"}} | {{.Count "survived"}} |
{{end}}{{else}}
No package was mutated whole yet.
{{end}}
## Every input of a small scope (P10)

` + "`make exhaustive LONG=1`" + ` tries every batch over an alphabet of packets. fuzz/law/exhaustive/alphabet.go has the alphabet, and
` + "`tunproof exhaustive -letters 103 -list`" + ` prints it. The alphabet has packets that follow each other; packets that end, hide or delay a superpacket; values at
their limits; and for each field a packet in which it differs. For every batch, superpackets, members, Reasons and bytes are compared with the model.
Production and the model both cut every superpacket and must get back its packets, and packets must keep their order.{{with .exhaustive}} This run is of tree
{{(index . 0).Tree}}.{{end}}

| property | what | how many | judge | seconds | result |
|---|---|---|---|---|---|
{{range .exhaustive}}| {{.Property}} | {{.Method}} | {{.Count}} {{.Unit}} | {{.Judge}} | {{printf "%.0f" .Seconds}} | {{.Result}} |
{{end}}`

// rowsText is docs/evidence/current/mutants.md.
const rowsText = `# Each mutant, and what detected it

For readers of [mutation.md](../../mutation.md) who want to see one bug or one mutation. ` + "`make docs`" + ` writes this page from the records next to it.

## Planted bugs

"!" marks a test that hung. "test" is the failing test of the first method named. The seconds run from the start of its program to the first
failure of any test in it. "theorem" is the group of theorems that is false with the bug, and "a case" that its counterexample is a case that
` + "`replay`" + ` finds violated. An empty cell means that the bug is in no function that was translated for the proofs.
{{with .planted}}
| bug | from | detected by | test | after s | theorem |
|---|---|---|---|---|---|
{{range .Lines}}| {{.ID}} | {{cell .About}} | {{if .By}}{{.By}}{{else}}**{{.Status}}**{{end}} | {{cell .Test}} | {{if .By}}{{printf "%.1f" .Seconds}}{{end}} | {{$.refuted.Of .ID}} |
{{end}}{{end}}
## Equivalent mutations

{{range .Arguments}}**{{.Why}}**

{{range .List}}- {{.ID}}: {{code .Source}}
{{end}}
{{end}}`
