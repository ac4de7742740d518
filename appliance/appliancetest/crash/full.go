package crash

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"gatehouse/appliance/api"
	"gatehouse/appliance/client"
	"gatehouse/store/disk"
)

const (
	fullRoom    = 400 << 20 // of the file system: ballast, state, log, and room to fill
	fullReserve = 64        // MiB below which the node takes no evidence
	// The node looks at its disk every two seconds.
	noticed = 15 * time.Second
)

// FullDisk fills the disk under a node: new evidence must be refused with 507,
// what is kept must be readable, and with room again all must go on, without a
// restart. The file system is one in memory of its own, for which the user must
// be root; else ErrSkipped.
func FullDisk(ctx context.Context, c Config) (r *Report, err error) {
	said, err := openDir(c.Dir)
	if err != nil {
		return nil, err
	}
	defer said.Close()
	mount := filepath.Join(c.Dir, "small")
	if err := os.Mkdir(mount, 0o700); err != nil {
		return nil, err
	}
	if err := unix.Mount("tmpfs", mount, "tmpfs", 0, fmt.Sprintf("size=%d,mode=0700", fullRoom)); err != nil {
		return nil, fmt.Errorf("%w: no file system can be mounted: %w", ErrSkipped, err)
	}
	defer func() { err = errors.Join(err, unix.Unmount(mount, unix.MNT_DETACH)) }()
	f := &full{r: &Report{Seed: c.Seed}, mount: mount, picture: c.Selfie,
		program: Program{Binary: c.Binary, Data: filepath.Join(mount, "data"), Log: said, Flags: []string{"--reserve", fmt.Sprint(fullReserve)}}}
	n, err := f.program.Start(ctx)
	if err != nil {
		return f.r, err
	}
	defer n.Kill()
	if err := f.run(ctx, n); err != nil {
		return f.r, err
	}
	if err := n.Stop(); err != nil {
		f.r.broken(Damage, "%v", err)
	}
	found, err := f.program.Check(ctx)
	if err != nil {
		return f.r, err
	}
	for _, finding := range found.Findings {
		f.r.broken(Damage, "data check: %v", finding)
	}
	return f.r, nil
}

type full struct {
	r       *Report
	mount   string
	program Program
	picture []byte

	branch *client.Client
	kept   *api.Session // put before the disk was full
}

func (f *full) run(ctx context.Context, n *Node) (err error) {
	anonymous, err := n.Client("")
	if err != nil {
		return err
	}
	admin, err := anonymous.Setup(ctx, "", api.SetupRequest{Code: n.SetupCode, Name: "administrator", Organisation: "bank"})
	if err != nil {
		return err
	}
	if f.branch, err = n.Client(*admin.Key); err != nil {
		return err
	}
	branch, err := f.branch.CreateClient(ctx, "", api.ClientRequest{Name: "branch", Roles: []api.Role{api.RoleOperator, api.RoleCompliance, api.RoleAuditor}})
	if err != nil {
		return err
	}
	if f.branch, err = n.Client(*branch.Key); err != nil {
		return err
	}
	if f.kept, err = f.create(ctx); err != nil {
		return err
	}
	if err := f.put(ctx, f.kept); err != nil {
		return err
	}
	fill := filepath.Join(f.mount, "fill")
	if err := leave(f.mount, fill, fullReserve<<20/2); err != nil {
		return err
	}
	if !f.until(ctx, func() bool { _, err := f.create(ctx); return status(err) == http.StatusInsufficientStorage }) {
		f.r.broken(Damage, "with half of the reserve free, a session is created")
	}
	if err := f.put(ctx, f.kept); status(err) != http.StatusInsufficientStorage {
		f.r.broken(Damage, "with half of the reserve free, evidence gets %v", err)
	}
	if err := f.readable(ctx); err != nil {
		f.r.broken(Lost, "on a full disk: %v", err)
	}
	if err := os.Remove(fill); err != nil {
		return err
	}
	if !f.until(ctx, func() bool { _, err := f.create(ctx); return err == nil }) {
		f.r.broken(Damage, "with room again, no session is created")
	}
	if err := f.put(ctx, f.kept); err != nil {
		f.r.broken(Damage, "with room again, evidence gets %v", err)
	}
	return nil
}

func (f *full) create(ctx context.Context) (*api.Session, error) {
	return f.branch.CreateSession(ctx, "", api.SessionRequest{Kind: api.SessionRequestKindIdentity,
		Consent: api.Consent{Channel: api.ConsentChannelBranch, TextVersion: "1", GivenAt: time.Now()}})
}

func (f *full) put(ctx context.Context, s *api.Session) error {
	p, err := picture(f.picture)
	if err != nil {
		return err
	}
	_, err = f.branch.PutEvidence(ctx, s.Id, api.SlotSelfie, p)
	return err
}

// readable tells why what was kept cannot be read.
func (f *full) readable(ctx context.Context) error {
	if _, err := f.branch.Session(ctx, f.kept.Id, 0); err != nil {
		return err
	}
	var b bytes.Buffer
	if _, err := f.branch.Evidence(ctx, f.kept.Id, api.SlotSelfie, api.PurposeReview, &b); err != nil {
		return err
	}
	if !bytes.Equal(b.Bytes(), f.picture) {
		return errors.New("other bytes came back")
	}
	_, err := f.branch.Checkpoint(ctx, "")
	return err
}

// until tries until it is so, for as long as the node may take to notice.
func (f *full) until(ctx context.Context, so func() bool) bool {
	for end := time.Now().Add(noticed); time.Now().Before(end) && ctx.Err() == nil; pause(ctx, 200*time.Millisecond) {
		if so() {
			return true
		}
	}
	return false
}

func status(err error) int {
	if p := (*client.Problem)(nil); errors.As(err, &p) {
		return p.Status
	}
	return 0
}

// leave fills a file system until so many bytes are free.
func leave(dir, file string, free uint64) error {
	have, _, err := disk.Free(dir)
	if err != nil {
		return err
	}
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	_, err = io.CopyN(f, zeros{}, int64(have-min(have, free)))
	return errors.Join(err, f.Close())
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }
