package clamdapi

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"sort"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"clamav-sidecar/test/clamd"
	"clamav-sidecar/test/corpus"
)

func TestZBench(t *testing.T) {
	d := clamd.StartT(t, clamd.Options{})
	sc := realScanner(t, d)
	addr := serve(t, newServer(Config{Scanner: big{sc}}))
	var seed atomic.Uint64
	for _, size := range []int{1 << 10, 64 << 10, 1 << 20} {
		for _, clients := range []int{1, 4, 16} {
			rates := map[string][]float64{}
			for round := 0; round < 5; round++ {
				for _, w := range []struct{ n, a string }{{"direct", d.Addr()}, {"ours", addr}} {
					var n atomic.Int64
					var wg sync.WaitGroup
					start := time.Now()
					end := start.Add(800 * time.Millisecond)
					for range clients {
						wg.Go(func() {
							buf := make([]byte, 10+4+size+4)
							copy(buf, "zINSTREAM\x00")
							binary.BigEndian.PutUint32(buf[10:], uint32(size))
							for time.Now().Before(end) {
								io.ReadFull(corpus.NewBody(seed.Add(1), int64(size)), buf[14:14+size])
								c, err := net.Dial("tcp", w.a)
								if err != nil {
									t.Error(err)
									return
								}
								c.Write(buf)
								r, err := io.ReadAll(c)
								if string(r) != "stream: OK\x00" {
									t.Error(string(r), err)
									return
								}
								c.Close()
								n.Add(1)
							}
						})
					}
					wg.Wait()
					rates[w.n] = append(rates[w.n], float64(n.Load())/time.Since(start).Seconds())
				}
			}
			sort.Float64s(rates["direct"])
			sort.Float64s(rates["ours"])
			a, b := rates["direct"][2], rates["ours"][2]
			fmt.Printf("%8d x%2d direct %8.1f/s ours %8.1f/s ratio %.2f\n", size, clients, a, b, b/a)
		}
	}
}

type big struct{ Scanner }

func (big) MaxFileSize() int64 { return 100 << 20 }
