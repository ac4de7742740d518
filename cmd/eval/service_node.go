package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"gatehouse/appliance/api"
	"gatehouse/appliance/client"
)

// servedNode is the built program, running as a node in a process of its own.
type servedNode struct {
	data    string
	command *exec.Cmd
	log     *os.File
	server  string
	ca      []byte
	code    string // to set it up
	who     credentials
	began   time.Time // of the process
}

// credentials of a node that was set up.
type credentials struct {
	tenant, client string
	key            string // of a client that verifies and reads the metrics
}

// startTime is how long a node may take before it counts as dead: a start over
// a long log takes a few seconds.
const startTime = time.Minute

// startNode starts the program over a data directory; where that is new, it is
// set up too.
func (s *serviceRun) startNode(ctx context.Context, data string, who credentials) (_ *servedNode, err error) {
	n := &servedNode{data: data, who: who}
	if n.log, err = os.OpenFile(data+".log", os.O_CREATE|os.O_APPEND|os.O_RDWR, 0o600); err != nil {
		return nil, err
	}
	n.command = exec.CommandContext(ctx, s.program, "run", "--data", data, "--listen", "127.0.0.1:0", "--workers", strconv.Itoa(s.workers), "--json")
	n.command.Cancel = func() error { return n.command.Process.Signal(syscall.SIGTERM) }
	n.command.WaitDelay = 20 * time.Second
	n.command.Stderr = n.log
	said, err := n.command.StdoutPipe()
	if err != nil {
		return nil, errors.Join(err, n.log.Close())
	}
	n.began = time.Now()
	if err := n.command.Start(); err != nil {
		return nil, errors.Join(err, n.log.Close())
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, n.kill())
		}
	}()
	late := time.AfterFunc(startTime, func() { _ = n.command.Process.Kill() })
	defer late.Stop()
	var started struct {
		Address     string `json:"address"`
		Certificate string `json:"certificate"`
		SetupCode   string `json:"setup_code"`
	}
	if err := json.NewDecoder(said).Decode(&started); err != nil {
		return nil, fmt.Errorf("the node did not start: %w: %s", err, n.lastWords())
	}
	n.server, n.code = started.Address, started.SetupCode
	if n.ca, err = os.ReadFile(started.Certificate); err != nil {
		return nil, err
	}
	if n.code != "" {
		return n, n.setUp(ctx)
	}
	return n, nil
}

// setUp makes the first administrator, and by it a client that verifies.
func (n *servedNode) setUp(ctx context.Context) error {
	nobody, err := client.New(client.Config{Server: n.server, CA: n.ca})
	if err != nil {
		return err
	}
	admin, err := nobody.Setup(ctx, "", api.SetupRequest{Code: n.code, Organisation: "Specimen Bank", Name: "head office"})
	if err != nil {
		return err
	}
	as, err := client.New(client.Config{Server: n.server, CA: n.ca, Key: *admin.Key})
	if err != nil {
		return err
	}
	branch, err := as.CreateClient(ctx, "", api.ClientRequest{Name: "branch", Roles: []api.Role{"operator", "monitor"}})
	if err != nil {
		return err
	}
	n.who = credentials{tenant: branch.Tenant, client: branch.Client.Id, key: *branch.Key}
	return nil
}

// caller is a client with a connection of its own.
func (n *servedNode) caller() (*client.Client, error) {
	return client.New(client.Config{Server: n.server, CA: n.ca, Key: n.who.key})
}

func (n *servedNode) callers(count int) ([]*client.Client, error) {
	all := make([]*client.Client, count)
	for i := range all {
		var err error
		if all[i], err = n.caller(); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// transport for what package client does not ask: one connection each.
func (n *servedNode) transport() *http.Transport {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(n.ca)
	return &http.Transport{TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS13, RootCAs: roots}, ForceAttemptHTTP2: true, DisableCompression: true}
}

func (n *servedNode) request(ctx context.Context, method, path string, body io.Reader) (*http.Request, error) {
	r, err := http.NewRequestWithContext(ctx, method, n.server+path, body)
	if err == nil {
		r.Header.Set("Authorization", "Bearer "+n.who.key)
	}
	return r, err
}

// get reads a route; the status must be 200.
func (n *servedNode) get(ctx context.Context, path string) ([]byte, error) {
	t := n.transport()
	defer t.CloseIdleConnections()
	r, err := n.request(ctx, http.MethodGet, path, nil)
	if err != nil {
		return nil, err
	}
	resp, err := (&http.Client{Transport: t, Timeout: startTime}).Do(r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s answered %d: %s", path, resp.StatusCode, b)
	}
	return b, err
}

// samples are the node's metrics, by name and labels as they are written.
func (n *servedNode) samples(ctx context.Context) (map[string]float64, error) {
	b, err := n.get(ctx, "/metrics")
	if err != nil {
		return nil, err
	}
	all := map[string]float64{}
	for line := range strings.Lines(string(b)) {
		if name, value, ok := cutLast(strings.TrimSpace(line), " "); ok && !strings.HasPrefix(line, "#") {
			if all[name], err = strconv.ParseFloat(value, 64); err != nil {
				return nil, fmt.Errorf("/metrics: %q: %w", line, err)
			}
		}
	}
	return all, nil
}

func cutLast(s, sep string) (before, after string, found bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}

// cpu is what the node has used of all cores.
func (n *servedNode) cpu() (time.Duration, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", n.command.Process.Pid))
	if err != nil {
		return 0, err
	}
	_, rest, _ := cutLast(string(b), ") ") // the name before it may have spaces
	fields := strings.Fields(rest)
	if len(fields) < 13 {
		return 0, fmt.Errorf("/proc/%d/stat: too short", n.command.Process.Pid)
	}
	var ticks int64 // utime and stime: fields 14 and 15 of proc(5), in hundredths of a second
	for _, f := range fields[11:13] {
		v, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("/proc/%d/stat: %w", n.command.Process.Pid, err)
		}
		ticks += v
	}
	return time.Duration(ticks) * 10 * time.Millisecond, nil
}

// anonymous is the memory of the node that is no file's, in bytes.
func (n *servedNode) anonymous() (float64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", n.command.Process.Pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(b)) {
		var kib float64
		if k, _ := fmt.Sscanf(line, "RssAnon: %f kB", &kib); k == 1 {
			return kib * 1024, nil
		}
	}
	return 0, errors.New("/proc: no RssAnon")
}

// stop ends the node as an operator does; it must have ended well.
func (n *servedNode) stop() error {
	err := n.command.Process.Signal(syscall.SIGTERM)
	if err == nil {
		err = n.command.Wait()
	}
	if err != nil {
		err = fmt.Errorf("the node did not end well: %w: %s", err, n.lastWords())
	}
	return errors.Join(err, n.log.Close())
}

// kill ends the node in any case.
func (n *servedNode) kill() error {
	_ = n.command.Process.Kill()
	_ = n.command.Wait()
	return n.log.Close()
}

// lastWords of the node's log.
func (n *servedNode) lastWords() string {
	if _, err := n.log.Seek(0, io.SeekStart); err != nil {
		return ""
	}
	last := ""
	for lines := bufio.NewScanner(n.log); lines.Scan(); {
		last = lines.Text()
	}
	return last
}
