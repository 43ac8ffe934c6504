package inject_test

import (
	"fmt"
	"strings"
	"testing"

	"clamav-sidecar/webhook/inject"
)

// operationsOn gives the operations of a patch on the metadata and below, as
// JSON.
func operationsOn(patch inject.Patch, metadata string) string {
	var found inject.Patch
	for _, operation := range patch {
		if strings.HasPrefix(operation.Path, metadata) {
			found = append(found, operation)
		}
	}
	return string(found.JSON())
}

const (
	nativeStatus = `{\"version\":\"1.0\",\"hash\":\"655fdaa3bf93\",\"mode\":\"native\",\"containers\":[\"app\"]%s}`
	newLabel     = `{"op":"add","path":"/metadata/labels","value":{"clamav-sidecar/injected":"true"}}`
	oneMoreLabel = `{"op":"add","path":"/metadata/labels/clamav-sidecar~1injected","value":"true"}`
)

func newStatus(rest string) string {
	return fmt.Sprintf(`{"op":"add","path":"/metadata/annotations","value":{"clamav-sidecar/status":"`+nativeStatus+`"}}`, rest)
}

func oneMoreStatus(rest string) string {
	return fmt.Sprintf(`{"op":"add","path":"/metadata/annotations/clamav-sidecar~1status","value":"`+nativeStatus+`"}`, rest)
}

// The pods are of a namespace that asks, so that they can be without annotations.
func TestTheLabelOfInjectedPods(t *testing.T) {
	for name, test := range map[string]struct {
		metadata string // with a comma behind it
		want     string // operations
		warnings []string
	}{
		"is made with the metadata":             {``, `{"op":"add","path":"/metadata","value":{"labels":{"clamav-sidecar/injected":"true"}}},` + newStatus(""), nil},
		"is made with metadata that was null":   {`"metadata":null,`, `{"op":"add","path":"/metadata","value":{"labels":{"clamav-sidecar/injected":"true"}}},` + newStatus(""), nil},
		"is made in metadata that was empty":    {`"metadata":{},`, newLabel + "," + newStatus(`,\"empty\":[\"metadata\"]`), nil},
		"is made with the labels":               {`"metadata":{"name":"web"},`, newLabel + "," + newStatus(""), nil},
		"is made beside annotations":            {`"metadata":{"annotations":{"a":"b"}},`, newLabel + "," + oneMoreStatus(""), nil},
		"is made with labels that were null":    {`"metadata":{"labels":null,"annotations":{"a":"b"}},`, newLabel + "," + oneMoreStatus(""), nil},
		"is made in labels that were empty":     {`"metadata":{"labels":{}},`, oneMoreLabel + "," + newStatus(`,\"empty\":[\"labels\"]`), nil},
		"is made where both were empty":         {`"metadata":{"labels":{},"annotations":{}},`, oneMoreLabel + "," + oneMoreStatus(`,\"empty\":[\"labels\",\"annotations\"]`), nil},
		"is made beside other labels":           {`"metadata":{"labels":{"app":"web"}},`, oneMoreLabel + "," + newStatus(""), nil},
		"is kept without a word where it is so": {`"metadata":{"labels":{"clamav-sidecar/injected":"true"}},`, newStatus(`,\"hadLabel\":true`), nil},
		"is kept with another value": {`"metadata":{"labels":{"clamav-sidecar/injected":"false"}},`, newStatus(`,\"hadLabel\":true`),
			[]string{`metadata.labels[clamav-sidecar/injected]: "false" is set already and kept; the chart's NetworkPolicy and monitoring go by "true"`}},
		"is kept with the empty value": {`"metadata":{"labels":{"app":"web","clamav-sidecar/injected":""}},`, newStatus(`,\"hadLabel\":true`),
			[]string{`metadata.labels[clamav-sidecar/injected]: "" is set already and kept; the chart's NetworkPolicy and monitoring go by "true"`}},
		"is kept with null, which is the empty value": {`"metadata":{"labels":{"clamav-sidecar/injected":null}},`, newStatus(`,\"hadLabel\":true`),
			[]string{`metadata.labels[clamav-sidecar/injected]: "" is set already and kept; the chart's NetworkPolicy and monitoring go by "true"`}},
	} {
		t.Run(name, func(t *testing.T) {
			i, kind := newInjector(), kindOf(t, "Pod")
			document := fmt.Appendf(nil, `{%s"spec":{"containers":[{"name":"app"}]}}`, test.metadata)
			result, faults := i.Inject(read(t, document, kind), true)
			if len(faults) > 0 {
				t.Fatal(faults.ToAggregate())
			}
			if got, want := operationsOn(result.Patch, "/metadata"), "["+test.want+"]"; got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
			sameParts(t, result.Warnings, test.warnings)
			injected := apply(t, document, result.Patch)
			if again, faults := i.Inject(read(t, injected, kind), true); len(faults) > 0 || len(again.Patch) > 0 || len(again.Warnings) > 0 {
				t.Errorf("again: got faults %v, warnings %q and the patch %s", faults, again.Warnings, again.Patch.JSON())
			}
			sameDocument(t, mustUninject(t, injected, kind), document)
		})
	}
}

func TestTheLabelOfAWorkload(t *testing.T) {
	document := []byte(`{"metadata":{"name":"web","labels":{"app":"web"}},"spec":{"selector":{"matchLabels":{"app":"web"}},
		"template":{"metadata":{"labels":{"app":"web"},"annotations":{"clamav-sidecar/inject":"true"}},"spec":{"containers":[{"name":"app"}]}}}}`)
	i, kind := newInjector(), kindOf(t, "Deployment")
	t.Run("is its template's, not its own nor its selector's", func(t *testing.T) {
		injected := apply(t, document, mustInject(t, i, document, kind).Patch)
		for pointer, want := range map[string]string{
			"/metadata/labels":               `{"app":"web"}`,
			"/spec/selector":                 `{"matchLabels":{"app":"web"}}`,
			"/spec/template/metadata/labels": `{"app":"web","clamav-sidecar/injected":"true"}`,
		} {
			if got := string(at(t, injected, pointer)); got != want {
				t.Errorf("%s: got %s, want %s", pointer, got, want)
			}
		}
	})
	t.Run("is not carried when it is applied", func(t *testing.T) {
		if result, faults := i.Check(read(t, document, kind)); len(faults) > 0 || len(result.Patch) > 0 || len(result.Warnings) > 0 {
			t.Errorf("got faults %v, warnings %q and the patch %s", faults, result.Warnings, result.Patch.JSON())
		}
	})
	t.Run("is warned of at the template when it is applied", func(t *testing.T) {
		other := applyJSON(t, document, []byte(`[{"op":"add","path":"/spec/template/metadata/labels/clamav-sidecar~1injected","value":"no"}]`))
		result, faults := i.Check(read(t, other, kind))
		if len(faults) > 0 || len(result.Patch) > 0 {
			t.Errorf("got faults %v and the patch %s", faults, result.Patch.JSON())
		}
		sameParts(t, result.Warnings, []string{`spec.template.metadata.labels[clamav-sidecar/injected]: "no" is set already and kept`})
	})
}

func TestTheLabelAfterAnInjectionOfAnotherTime(t *testing.T) {
	const label = "/metadata/labels/clamav-sidecar~1injected"
	i, kind := newInjector(), kindOf(t, "Pod")
	document := []byte(`{"metadata":{"labels":{"app":"web"},"annotations":{"clamav-sidecar/inject":"true"}},"spec":{"containers":[{"name":"app"}]}}`)
	withLabel := applyJSON(t, document, []byte(`[{"op":"add","path":"`+label+`","value":"true"}]`))
	injected := apply(t, document, mustInject(t, i, document, kind).Patch)
	const lost = `{"op":"remove","path":"/spec/initContainers"}`
	t.Run("is not given to a pod that is whole without it", func(t *testing.T) {
		without := applyJSON(t, injected, []byte(`[{"op":"remove","path":"`+label+`"}]`))
		if result := mustInject(t, i, without, kind); len(result.Patch) > 0 || !result.Wanted {
			t.Errorf("got wanted %t and the patch %s", result.Wanted, result.Patch.JSON())
		}
		sameDocument(t, mustUninject(t, without, kind), document)
	})
	t.Run("is left where somebody has given it another value", func(t *testing.T) {
		changed := []byte(`[{"op":"add","path":"` + label + `","value":"false"}]`)
		sameDocument(t, mustUninject(t, applyJSON(t, injected, changed), kind), applyJSON(t, document, changed))
	})
	// The status is that of the first injection, and the second makes the pod whole.
	for name, test := range map[string]struct {
		document, operations string
		want                 string // what is left when both are taken back
	}{
		"is still the injection's":                        {string(document), `[` + lost + `]`, string(document)},
		"is the injection's where it was lost too":        {string(document), `[` + lost + `,{"op":"remove","path":"` + label + `"}]`, string(document)},
		"is still the team's":                             {string(withLabel), `[` + lost + `]`, string(withLabel)},
		"is the injection's where the team's was removed": {string(withLabel), `[` + lost + `,{"op":"remove","path":"` + label + `"}]`, string(document)},
	} {
		t.Run(name+" in a pod that is made whole", func(t *testing.T) {
			first := apply(t, []byte(test.document), mustInject(t, i, []byte(test.document), kind).Patch)
			partial := applyJSON(t, first, []byte(test.operations))
			whole := apply(t, partial, mustInject(t, i, partial, kind).Patch)
			if got, want := string(at(t, whole, "/metadata/labels")), `{"app":"web","clamav-sidecar/injected":"true"}`; got != want {
				t.Errorf("got the labels %s, want %s", got, want)
			}
			sameDocument(t, mustUninject(t, whole, kind), []byte(test.want))
		})
	}
}
