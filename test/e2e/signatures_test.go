//go:build e2e

package e2e

import (
	"context"
	"encoding/hex"
	"fmt"
	"testing"
	"time"

	"sigs.k8s.io/e2e-framework/pkg/features"
)

// checkNow has freshclam look for new signatures, which it does some times a day.
const checkNow = `for p in /proc/[0-9]*; do
  [ "$(cat "$p/comm" 2>/dev/null)" != freshclam ] || { kill -USR1 "${p#/proc/}" && told=yes; }
done
[ "${told-}" = yes ]`

func TestANewSignatureReachesAllReplicas(t *testing.T) {
	body := fmt.Sprintf("what nobody has seen before %d\n", time.Now().UnixNano())
	scan := fmt.Sprintf("printf %%s '%s' | clamdscan --config-file=/etc/clamav/local.conf --no-summary -", body)
	environment.Test(t, features.New("a signature that is new on the mirror").
		Assess("is not known before", step(func(ctx context.Context, t *testing.T) {
			for _, pod := range waitForPods(ctx, t, clamdPods, 2) {
				status, output, err := system.exec(ctx, &pod, "clamd", scan, nil)
				if err != nil || status != 0 {
					t.Errorf("%s: exit status %d, error %v, want 0: %s", pod.Name, status, err, output)
				}
			}
		})).
		Assess("is known to all replicas after freshclam has looked", step(func(ctx context.Context, t *testing.T) {
			must(t, system.serveSignatures(ctx, "Brand-New:0:*:"+hex.EncodeToString([]byte(body))))
			freshclam := system.podsOf(ctx, t, releaseNamespace, "app.kubernetes.io/component=freshclam")[0]
			status, output, err := system.exec(ctx, &freshclam, "freshclam", checkNow, nil)
			if err != nil || status != 0 {
				t.Fatalf("tell freshclam: exit status %d, error %v: %s", status, err, output)
			}
			for _, pod := range waitForPods(ctx, t, clamdPods, 2) {
				eventually(ctx, t, pod.Name+" finds it", func(ctx context.Context) error {
					status, output, err := system.exec(ctx, &pod, "clamd", scan, nil)
					if err == nil && status != 1 {
						err = fmt.Errorf("exit status %d, want 1: %s", status, output)
					}
					return err
				})
			}
		})).
		Feature())
}
