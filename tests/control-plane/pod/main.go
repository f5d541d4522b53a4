// The one program in the tests' own image: a container that waits (the pause image too), and small deeds to exec in it.
package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const account = "/var/run/secrets/kubernetes.io/serviceaccount/"

func main() {
	deed, words := "pause", []string(nil)
	if len(os.Args) > 1 {
		deed, words = os.Args[1], os.Args[2:]
	}
	var err error
	switch deed {
	case "pause":
		pause()
	case "echo":
		fmt.Println(strings.Join(words, " "))
	case "cat":
		_, err = io.Copy(os.Stdout, os.Stdin)
	case "exit":
		var code int
		if code, err = strconv.Atoi(words[0]); err == nil {
			os.Exit(code)
		}
	case "get":
		err = get(words[0])
	case "whoami":
		err = whoami()
	case "serve":
		err = serve()
	default:
		err = fmt.Errorf("no such deed: %s", deed)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func pause() {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	<-signals
}

// get prints what an address says. Whose certificate it shows is not the question here.
func get(address string) error {
	return ask(http.MethodGet, address, nil, "", &tls.Config{InsecureSkipVerify: true})
}

// whoami has the API server say as whom it takes the pod's service account.
func whoami() error {
	token, err := os.ReadFile(account + "token")
	if err != nil {
		return err
	}
	authority, err := os.ReadFile(account + "ca.crt")
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(authority) {
		return fmt.Errorf("no certificate in ca.crt")
	}
	server := net.JoinHostPort(os.Getenv("KUBERNETES_SERVICE_HOST"), os.Getenv("KUBERNETES_SERVICE_PORT"))
	address := "https://" + server + "/apis/authentication.k8s.io/v1/selfsubjectreviews"
	review := []byte(`{"apiVersion":"authentication.k8s.io/v1","kind":"SelfSubjectReview"}`)
	return ask(http.MethodPost, address, review, string(token), &tls.Config{RootCAs: roots})
}

func ask(method, address string, body []byte, token string, config *tls.Config) error {
	request, err := http.NewRequest(method, address, bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	client := http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{TLSClientConfig: config}}
	answer, err := client.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	// No answer in the tests is longer than a few kilobytes.
	text, err := io.ReadAll(io.LimitReader(answer.Body, 1<<20))
	if err != nil {
		return err
	}
	if answer.StatusCode/100 != 2 {
		return fmt.Errorf("%s: %s", answer.Status, text)
	}
	_, err = os.Stdout.Write(text)
	return err
}

// serve answers plainly at 8080, and at 8443 as an aggregated API without resources.
func serve() error {
	certificate, err := selfSigned()
	if err != nil {
		return err
	}
	name, err := os.Hostname()
	if err != nil {
		return err
	}
	http.HandleFunc("/", func(answer http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(answer, "hello from %s\n", name)
	})
	http.HandleFunc("/apis/pods.latchkey.test/v1", func(answer http.ResponseWriter, request *http.Request) {
		log.Printf("asked by %s", request.Header.Get("X-Remote-User"))
		answer.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(answer).Encode(map[string]any{
			"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": "pods.latchkey.test/v1", "resources": []any{},
		})
	})
	ended := make(chan error, 2)
	plain := &http.Server{Addr: ":8080", ReadHeaderTimeout: 10 * time.Second}
	secure := &http.Server{Addr: ":8443", ReadHeaderTimeout: 10 * time.Second, TLSConfig: &tls.Config{Certificates: []tls.Certificate{certificate}}}
	go func() { ended <- plain.ListenAndServe() }()
	go func() { ended <- secure.ListenAndServeTLS("", "") }()
	log.Printf("%s serves", name)
	return <-ended
}

func selfSigned() (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(24 * time.Hour)}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	return tls.Certificate{Certificate: [][]byte{certificate}, PrivateKey: key}, err
}
