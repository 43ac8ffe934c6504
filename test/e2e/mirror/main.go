// Command mirror serves the files of a directory over HTTP: signatures, to
// freshclam. The suite copies it into a pod, since the images at hand hold no
// web server.
//
//	mirror DIRECTORY
package main

import (
	"fmt"
	"net/http"
	"os"
	"time"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: mirror DIRECTORY")
		os.Exit(2)
	}
	server := http.Server{
		Addr:              ":8080",
		Handler:           http.FileServer(http.Dir(os.Args[1])),
		ReadHeaderTimeout: 10 * time.Second,
	}
	fmt.Fprintln(os.Stderr, "mirror:", server.ListenAndServe())
	os.Exit(1)
}
