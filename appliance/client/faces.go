package client

import (
	"context"
	"net/http"
	"strconv"

	"gatehouse/appliance/api"
)

// Probe is a face: the largest of a picture, or that of a decided session; one
// of them.
type Probe struct {
	Picture *Picture
	Session string
}

func (p Probe) parts() []part {
	return []part{{name: "session", text: p.Session}, {name: "face", picture: p.Picture}}
}

// FaceQuery is a search; what is empty or 0 is the node's own choice.
type FaceQuery struct {
	Probe
	K      int
	FPIR   float64
	List   api.SearchFormList
	Engine api.SearchFormEngine
}

// SearchFaces tells whom, of all that were enrolled, a face is like.
func (c *Client) SearchFaces(ctx context.Context, key string, why api.Purpose, q FaceQuery) (*api.FaceSearch, error) {
	r := post("v1", "faces", "search").keyed(key).purpose(why)
	fpir := ""
	if q.FPIR != 0 {
		fpir = strconv.FormatFloat(q.FPIR, 'g', -1, 64)
	}
	var err error
	if r.body, err = form(r.key, append([]part{{name: "k", text: number(q.K)}, {name: "fpir", text: fpir},
		{name: "list", text: string(q.List)}, {name: "engine", text: string(q.Engine)}}, q.parts()...)...); err != nil {
		return nil, err
	}
	return ask[api.FaceSearch](ctx, c, r)
}

// AddBlocked puts a face on the blocklist.
func (c *Client) AddBlocked(ctx context.Context, key, reason string, p Probe) (*api.BlocklistEntry, error) {
	r := post("v1", "blocklist").keyed(key)
	var err error
	if r.body, err = form(r.key, append([]part{{name: "reason", kind: "text/plain; charset=utf-8", text: reason}}, p.parts()...)...); err != nil {
		return nil, err
	}
	return ask[api.BlocklistEntry](ctx, c, r)
}

// Blocklist gives a page of it; limit 0 is the node's own.
func (c *Client) Blocklist(ctx context.Context, cursor string, limit int) (*api.Blocklist, error) {
	return ask[api.Blocklist](ctx, c, get("v1", "blocklist").with("cursor", cursor).with("limit", number(limit)))
}

// Blocked gives an entry of the blocklist with its reason.
func (c *Client) Blocked(ctx context.Context, entry string, why api.Purpose) (*api.BlocklistEntry, error) {
	return ask[api.BlocklistEntry](ctx, c, get("v1", "blocklist", entry).purpose(why))
}

// RemoveBlocked takes a face off the blocklist.
func (c *Client) RemoveBlocked(ctx context.Context, entry string, why api.ErasureReason) (*api.BlocklistRemoval, error) {
	r := request{method: http.MethodDelete, path: []string{"v1", "blocklist", entry}}
	return ask[api.BlocklistRemoval](ctx, c, r.with("reason", string(why)))
}

// Gallery tells the size and the work of the face galleries.
func (c *Client) Gallery(ctx context.Context) (*api.Gallery, error) {
	return ask[api.Gallery](ctx, c, get("v1", "gallery"))
}

// RebuildGallery begins a rebuild, or the building of the graph.
func (c *Client) RebuildGallery(ctx context.Context, key string, graph bool) (*api.Gallery, error) {
	r, err := post("v1", "gallery", "rebuild").keyed(key).sending(api.RebuildRequest{Graph: &graph})
	if err != nil {
		return nil, err
	}
	return ask[api.Gallery](ctx, c, r)
}

// VerifyGallery compares the galleries with the templates. It waits for the
// answer until ctx ends.
func (c *Client) VerifyGallery(ctx context.Context, key string) (*api.GalleryReport, error) {
	r := post("v1", "gallery", "verify").keyed(key)
	r.long = true
	return ask[api.GalleryReport](ctx, c, r)
}
