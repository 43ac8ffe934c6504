package manifest

import (
	"errors"
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"clamav-sidecar/webhook/inject"
	"clamav-sidecar/webhook/manifest/edit"
)

// Output is what became of the inputs.
type Output struct {
	Files []File
	// Faults, if there are any, leave nothing fit to be printed.
	Faults, Warnings []Message
	// Injected counts the objects that are injected now, or were so already
	// (Inject), or are so no longer (Uninject).
	Injected int
}

// File is one of the inputs with its changes, in the order of the text.
type File struct {
	Input
	Splices []edit.Splice
}

// Inject injects all objects that ask for it, as the webhook injects their pods.
// It does not change the inputs.
func Inject(injector *inject.Injector, inputs []Input) Output {
	return change(inputs, injector.Inject)
}

// Uninject takes injections back.
func Uninject(inputs []Input) Output {
	return change(inputs, func(o *inject.Object, _ bool) (inject.Result, field.ErrorList) {
		patch, err := inject.Uninject(o)
		if err != nil {
			var fault *field.Error
			if !errors.As(err, &fault) {
				fault = field.InternalError(nil, err)
			}
			return inject.Result{}, field.ErrorList{fault}
		}
		return inject.Result{Patch: patch, Wanted: len(patch) > 0}, nil
	})
}

// action is what is done to each object.
type action func(o *inject.Object, namespaceAsks bool) (inject.Result, field.ErrorList)

// changing is a run over all inputs.
type changing struct {
	Output
	action     action
	namespaces map[string]bool // that ask
}

func change(inputs []Input, action action) Output {
	c := changing{action: action, namespaces: map[string]bool{}}
	var files [][]readDocument
	for i := range inputs {
		documents := c.read(&inputs[i])
		files = append(files, documents)
		for _, d := range documents {
			for _, o := range d.objects {
				if o.asksAsNamespace() {
					c.namespaces[o.fullName] = true
				}
			}
		}
	}
	for i, documents := range files {
		file := File{Input: inputs[i]}
		for _, d := range documents {
			file.Splices = append(file.Splices, c.document(d)...)
		}
		c.Files = append(c.Files, file)
	}
	return c.Output
}

// readDocument is a document with its objects.
type readDocument struct {
	document
	*edit.Document
	objects []object
}

// read reads the documents of an input.
func (c *changing) read(input *Input) []readDocument {
	documents, faults := split(input)
	c.Faults = append(c.Faults, faults...)
	var found []readDocument
	number := 0
	for _, d := range documents {
		d.number = number + 1
		read, err := edit.Read(d.text, d.format, d.line)
		if err == nil && read.Empty() {
			continue
		}
		number++
		var all []object
		if err == nil {
			all, err = objects(read.JSON())
		}
		if err != nil {
			c.Faults = append(c.Faults, Message{d.place(), err.Error()})
			continue
		}
		found = append(found, readDocument{d, read, all})
	}
	return found
}

// document gives the changes of a document, as places in its input.
func (c *changing) document(d readDocument) []edit.Splice {
	var patch inject.Patch
	for _, o := range d.objects {
		for _, operation := range c.object(d.place()+", "+o.name(), &o) {
			operation.Path = o.pointer + operation.Path
			patch = append(patch, operation)
		}
	}
	splices, err := d.Change(patch)
	if err != nil {
		place := d.place()
		if len(d.objects) == 1 {
			place += ", " + d.objects[0].name()
		}
		c.Faults = append(c.Faults, Message{place, err.Error()})
		return nil
	}
	for i := range splices {
		splices[i].From += d.offset
		splices[i].To += d.offset
	}
	return splices
}

// object gives the operations for an object.
func (c *changing) object(place string, o *object) inject.Patch {
	kind, known := o.injectKind()
	if !known {
		if keys := o.annotations(); len(keys) > 0 {
			c.warn(place, fmt.Sprintf("left as it is: kubectl clamav does not know this kind of object, which has %s; "+
				"the webhook looks at its pods when they are created", strings.Join(keys, ", ")))
		}
		return nil
	}
	read, err := inject.Read(o.value, kind)
	if err != nil {
		// Whatever else is wrong with an object that has not asked for anything
		// is between others.
		if o.mentionsUs() || c.namespaces[o.namespace] {
			c.Faults = append(c.Faults, Message{place, err.Error()})
		}
		return nil
	}
	result, faults := c.action(read, c.namespaces[o.namespace])
	for _, fault := range faults {
		c.Faults = append(c.Faults, Message{place, fault.Error()})
	}
	if len(faults) > 0 {
		return nil
	}
	for _, warning := range result.Warnings {
		c.warn(place, warning)
	}
	for _, obstacle := range result.Skipped {
		c.warn(place, "left as it is, although its namespace asks for the injection: "+obstacle.Error())
	}
	if result.Wanted {
		c.Injected++
	}
	return result.Patch
}

func (c *changing) warn(place, text string) { c.Warnings = append(c.Warnings, Message{place, text}) }
