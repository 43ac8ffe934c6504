// Package sidecar assembles the scanning sidecar from its parts: it listens on
// the three ports of [Config], finds the clamd replicas, and serves until its
// context ends. It has no logic of its own.
package sidecar
