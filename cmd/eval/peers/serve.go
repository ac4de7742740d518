package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/url"

	"go.etcd.io/etcd/server/v3/embed"
)

// serve runs one server. Beside its addresses and its directory all is as etcd
// has it, but for its log, which holds errors only: that costs the least. Its
// clients and the other servers talk to it without TLS.
func serve(ctx context.Context, args []string, in io.Reader, out io.Writer) error {
	c := embed.NewConfig()
	c.LogLevel = "error"
	fs := flag.NewFlagSet("serve", flag.ContinueOnError)
	fs.StringVar(&c.Name, "name", "", "`NAME` of this server")
	fs.StringVar(&c.Dir, "dir", "", "its data `DIR`")
	client := fs.String("client", "", "`URL` for clients")
	peer := fs.String("peer", "", "`URL` for the other servers")
	fs.StringVar(&c.InitialCluster, "cluster", "", "all servers of the cluster, `NAME=URL,…`")
	if err := parse(fs, args); err != nil {
		return err
	}
	for _, a := range []struct {
		text   string
		listen *[]url.URL
		tell   *[]url.URL
	}{{*client, &c.ListenClientUrls, &c.AdvertiseClientUrls}, {*peer, &c.ListenPeerUrls, &c.AdvertisePeerUrls}} {
		u, err := url.Parse(a.text)
		if err != nil {
			return err
		}
		*a.listen, *a.tell = []url.URL{*u}, []url.URL{*u}
	}
	server, err := embed.StartEtcd(c)
	if err != nil {
		return err
	}
	// It is not closed: nobody wants what it holds once this process ends.
	ended := make(chan struct{})
	go func() { // whoever started this process has ended when its input does
		_, _ = io.Copy(io.Discard, in)
		close(ended)
	}()
	ready := server.Server.ReadyNotify()
	for {
		select {
		case <-ready:
			ready = nil
			if err := json.NewEncoder(out).Encode(map[string]bool{"ready": true}); err != nil {
				return err
			}
		case err := <-server.Err():
			return fmt.Errorf("etcd: %w", err)
		case <-ended:
			return nil
		case <-ctx.Done():
			return nil
		}
	}
}
