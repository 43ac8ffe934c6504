package certs

import (
	"context"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/watch"
)

// opener opens a watch.
type opener func(context.Context, metav1.ListOptions) (watch.Interface, error)

// watch wakes the loop of Start when the Secret or a configuration changes, in
// goroutines that end with ctx. A watch selects its object by name, so that a
// right to that name suffices.
func (a *Authority) watch(ctx context.Context, watches *sync.WaitGroup) {
	watches.Go(func() { a.watchOne(ctx, a.secrets.Watch, a.config.Secret) })
	for _, name := range a.config.WebhookConfigurations {
		watches.Go(func() { a.watchOne(ctx, a.configurations.Watch, name) })
	}
}

// watchOne keeps a watch open. It wakes the loop each time it opens one, as it
// may have missed a change. Errors are not reported: the loop meets the same
// ones, and does its work without watches too, if more slowly.
func (a *Authority) watchOne(ctx context.Context, open opener, name string) {
	options := metav1.ListOptions{FieldSelector: fields.OneTermEqualSelector(metav1.ObjectNameField, name).String()}
	retries := newBackoff(resync)
	for ctx.Err() == nil {
		opened := time.Now()
		if watching, err := open(ctx, options); err == nil {
			a.wake()
			a.follow(watching)
		}
		if time.Since(opened) > resync {
			retries = newBackoff(resync)
		}
		if !sleep(ctx, retries.Step(), nil) {
			return
		}
	}
}

// follow wakes the loop at every change until the watch ends, which it does
// with the context that it was opened with at the latest.
func (a *Authority) follow(watching watch.Interface) {
	defer watching.Stop()
	for event := range watching.ResultChan() {
		if event.Type == watch.Error {
			return
		}
		a.wake()
	}
}

// wake makes the loop of Start do a pass soon. It does not block.
func (a *Authority) wake() {
	select {
	case a.changed <- struct{}{}:
	default: // it has been woken already
	}
}

// newBackoff grows from half a second or so to longest.
func newBackoff(longest time.Duration) *wait.Backoff {
	return &wait.Backoff{Duration: 500 * time.Millisecond, Factor: 2, Jitter: 0.5, Steps: 16, Cap: longest}
}

// sleep waits for d or until something is received, and says false if ctx ended
// before.
func sleep(ctx context.Context, d time.Duration, received <-chan struct{}) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
	case <-received:
	}
	return true
}
