package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"runtime/pprof"
	"time"

	"clamav-sidecar/sidecar/clamdapi"
	"clamav-sidecar/sidecar/scan"
	"clamav-sidecar/sidecar/upstream"
)

func main() {
	log := slog.New(slog.DiscardHandler)
	pool, err := upstream.New(upstream.Config{ClamdConf: os.Args[1], MaxConcurrent: 16, Queue: 128, QueueTimeout: 10 * time.Second, ScanTimeout: 120 * time.Second, Log: log})
	if err != nil {
		panic(err)
	}
	go pool.Run(context.Background())
	s := scan.New(scan.Config{MaxFileSize: 100 << 20, ReplayMemory: 8 << 20, Log: log}, pool)
	lc := net.ListenConfig{}
	if os.Getenv("NOKA") != "" {
		lc.KeepAlive = -1
	}
	l, err := lc.Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	fmt.Println(l.Addr())
	if f := os.Getenv("PROF"); f != "" {
		w, _ := os.Create(f)
		pprof.StartCPUProfile(w)
		time.AfterFunc(12*time.Second, func() { pprof.StopCPUProfile(); w.Close() })
	}
	clamdapi.New(clamdapi.Config{Scanner: s, Log: log}).Serve(l)
}
