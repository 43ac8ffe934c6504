package monitoring

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// patience bounds every wait.
const patience = 30 * time.Second

// exposed is what can be asked of some metrics: by metric the labels, by label
// the values.
type exposed map[string]map[string]map[string]bool

func (e exposed) add(metric, label, value string) {
	if e[metric] == nil {
		e[metric] = map[string]map[string]bool{}
	}
	if label == "" {
		return
	}
	if e[metric][label] == nil {
		e[metric][label] = map[string]bool{}
	}
	e[metric][label][value] = true
}

// missing says what of a need is not exposed; nil: nothing.
func (e exposed) missing(n need) error {
	labels, ok := e[n.metric]
	switch {
	case !ok:
		return fmt.Errorf("there is no metric %s", n.metric)
	case n.label == "" || fromPrometheus[n.label]:
		return nil
	case labels[n.label] == nil:
		return fmt.Errorf("%s has no label %s", n.metric, n.label)
	case n.value != "" && !labels[n.label][n.value]:
		return fmt.Errorf("%s has no %s=%q", n.metric, n.label, n.value)
	}
	return nil
}

// scrape adds what a process exposes at an address.
func (e exposed) scrape(t *testing.T, address string) {
	t.Helper()
	text, err := get("http://" + address + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	for name, family := range families {
		series := []string{name}
		for _, metric := range family.GetMetric() {
			if histogram := metric.GetHistogram(); histogram != nil {
				series = []string{name + "_bucket", name + "_sum", name + "_count"}
				e.add(name+"_bucket", "le", "+Inf")
			}
			for _, one := range series {
				e.add(one, "", "")
				for _, label := range metric.GetLabel() {
					e.add(one, label.GetName(), label.GetValue())
				}
			}
		}
	}
}

// get gives the body of an answer, which must be 200.
func get(url string) (string, error) {
	client := &http.Client{Timeout: 5 * time.Second}
	response, err := client.Get(url)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s: %s", url, response.Status, body)
	}
	return string(body), err
}

// shows is a check that a process exposes each of these texts.
func shows(address string, texts ...string) func() error {
	return func() error {
		body, err := get("http://" + address + "/metrics")
		if err != nil {
			return err
		}
		for _, text := range texts {
			if !strings.Contains(body, text) {
				err = errors.Join(err, fmt.Errorf("its metrics have no %s", text))
			}
		}
		return err
	}
}

// eventually waits until try succeeds.
func eventually(t *testing.T, what string, try func() error) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		err := try()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s: %v", patience, what, err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}
