package httpapi

import (
	_ "embed"
	"net/http"
	"slices"
	"time"

	"clamav-sidecar/sidecar/clamd"
)

//go:embed openapi.yaml
var openapi []byte

// openapi answers GET /openapi.yaml.
func (x *exchange) openapi() { x.answer(http.StatusOK, "application/yaml", openapi) }

type replicasAnswer struct {
	Replicas []replica `json:"replicas"`
	Queue    queue     `json:"queue"`
}

// queue is how many scans are under way, over all replicas.
type queue struct {
	Open     int `json:"open"`
	Scanning int `json:"scanning"`
	Waiting  int `json:"waiting"`
}

// replica is what is known of a clamd replica.
type replica struct {
	Address    string          `json:"address"`
	State      string          `json:"state"`
	Error      string          `json:"error,omitempty"`
	InFlight   int             `json:"in_flight"`
	Engine     string          `json:"engine,omitempty"`
	Signatures *agedSignatures `json:"signatures,omitempty"`
	Checked    time.Time       `json:"checked,omitzero"`
	BlindTo    []string        `json:"blind_to,omitempty"`
}

type agedSignatures struct {
	signatures
	AgeSeconds int64 `json:"age_seconds,omitempty"`
}

// replicas answers GET /v1/replicas.
func (x *exchange) replicas() {
	stats := x.Scanner.Stats()
	answer := replicasAnswer{
		Replicas: []replica{},
		Queue:    queue{Open: stats.Open, Scanning: stats.Scanning, Waiting: stats.Queued},
	}
	for _, r := range x.Scanner.Replicas() {
		entry := replica{
			Address:  r.Address,
			State:    string(r.State),
			Error:    r.Error,
			InFlight: r.InFlight,
			Engine:   r.Version.Engine,
			Checked:  r.Checked.UTC(),
			BlindTo:  r.Blind,
		}
		if loaded := newSignatures(r.Version); loaded != nil {
			entry.Signatures = &agedSignatures{signatures: *loaded}
			if !loaded.Built.IsZero() {
				entry.Signatures.AgeSeconds = int64(time.Since(loaded.Built) / time.Second)
			}
		}
		answer.Replicas = append(answer.Replicas, entry)
	}
	x.answerJSON(http.StatusOK, jsonMedia, answer)
}

type versionAnswer struct {
	Version string   `json:"version"`
	Engines []engine `json:"engines"`
}

// engine is a release of clamd with its signatures, and how many replicas run
// it. While new signatures come in there is more than one.
type engine struct {
	Engine     string      `json:"engine"`
	Signatures *signatures `json:"signatures,omitempty"`
	Replicas   int         `json:"replicas"`
}

// version answers GET /v1/version.
func (x *exchange) version() {
	answer := versionAnswer{Version: x.Version, Engines: []engine{}}
	var seen []clamd.Version
	for _, r := range x.Scanner.Replicas() {
		if r.Version.Engine == "" {
			continue // has not answered yet
		}
		i := slices.Index(seen, r.Version)
		if i < 0 {
			i = len(seen)
			seen = append(seen, r.Version)
			answer.Engines = append(answer.Engines, engine{Engine: r.Version.Engine, Signatures: newSignatures(r.Version)})
		}
		answer.Engines[i].Replicas++
	}
	x.answerJSON(http.StatusOK, jsonMedia, answer)
}
