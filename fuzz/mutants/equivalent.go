package mutants

// Equivalent says of a mutation that no input shows it, and why. It holds as long as
// the line is as it was.
type Equivalent struct {
	ID     string
	Source string // the line
	Why    string // the key of an argument
}

// Arguments are why mutations are equivalent. Each mutation that has one is also run
// against Deep: all small inputs that there are, which do not tell it from the
// original.
var Arguments = map[string]string{}

// Equivalents are all mutations of offload that survive and are equivalent.
var Equivalents = []Equivalent{}

// EquivalentIDs are Equivalents by ID.
func EquivalentIDs() map[string]Equivalent {
	ids := map[string]Equivalent{}
	for _, e := range Equivalents {
		ids[e.ID] = e
	}
	return ids
}
