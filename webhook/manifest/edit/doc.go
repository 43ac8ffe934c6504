// Package edit applies RFC 6902 operations to the text of a YAML or JSON
// document, and leaves every byte alone that the operations do not concern:
// comments, blank lines, order, quotes, block scalars and line ends stay.
//
//	document, err := edit.Read(text, edit.YAML, 1)
//	splices, err := document.Change(patch)
//	text = edit.Apply(text, splices)
//
// A YAML library that writes a tree of nodes back loses blank lines and
// indentation; so nothing is written back here. The tree only tells where
// things stand, and what is new is put in between.
//
// No change is believed: the changed text is read again, and must be the JSON
// that the operations make of the JSON of the text before. What cannot be
// changed in that way, such as what an alias shares with another place, is
// refused with its line.
package edit
