package blob_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"

	"gatehouse/store/blob"
)

// pattern is n bytes that differ by seed, without holding them.
func pattern(seed byte, n int64) io.Reader {
	at := int64(0)
	return io.LimitReader(readerFunc(func(p []byte) (int, error) {
		for i := range p {
			p[i] = seed + byte((at+int64(i))>>9)
		}
		at += int64(len(p))
		return len(p), nil
	}), n)
}

// allocated by f, freed or not, so that no collector flatters it.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// live is what the heap holds.
func live() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func TestMemoryOfALargeObject(t *testing.T) {
	const size, most = 50 << 20, 1 << 20
	s, _ := empty(t, blob.Config{})
	key, h := alice()
	var ref blob.Ref
	var err error
	if n := allocated(func() { ref, err = s.Put(context.Background(), key, h, pattern(1, size), size) }); err != nil || n > most {
		t.Errorf("writing allocates %d bytes, %v", n, err)
	}
	want, got := sha256.New(), sha256.New()
	io.Copy(want, pattern(1, size))
	before := live()
	r, err := s.Open(context.Background(), key, h, ref.Name)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := io.CopyN(got, r, size/2); err != nil {
		t.Fatal(err)
	}
	if n := live() - before; n > most {
		t.Errorf("a reader holds %d bytes", n)
	}
	if _, err := io.Copy(got, r); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got.Sum(nil), want.Sum(nil)) {
		t.Error("other bytes come back")
	}
}

// Sixty-four at once, some of them refused: each gets its own back, and nothing
// else is left.
func TestMany(t *testing.T) {
	const callers, size = 64, 3*chunk + 11
	s, dir := empty(t, blob.Config{})
	key, h := alice()
	var names sync.Map
	var wg sync.WaitGroup
	n := allocated(func() {
		for i := range callers {
			wg.Go(func() {
				limit := int64(size)
				if i%8 == 0 {
					limit--
				}
				ref, err := s.Put(context.Background(), key, h, pattern(byte(i), size), limit)
				if (err != nil) != (limit < size) {
					t.Errorf("caller %d: %v", i, err)
				}
				if err != nil {
					return
				}
				names.Store(ref.Name, i)
				want, _ := io.ReadAll(pattern(byte(i), size))
				if got, err := read(s, key, h, ref.Name); err != nil || !bytes.Equal(got, want) {
					t.Errorf("caller %d: %d other bytes, %v", i, len(got), err)
				}
			})
		}
		wg.Wait()
	})
	if n > callers*(4<<20) { // here also the test's own copies
		t.Errorf("%d bytes allocated", n)
	}
	found := 0
	err := s.Walk(context.Background(), func(name string, _ int64) error {
		if _, ok := names.Load(name); !ok {
			t.Errorf("%s was not put", name)
		}
		found++
		return s.Check(context.Background(), name)
	})
	if want := callers * 7 / 8; err != nil || found != want || len(files(t, dir)) != want {
		t.Errorf("%d blobs, %d files, want %d; %v", found, len(files(t, dir)), want, err)
	}
}

// Each beside a plain file of the same bytes, written and made durable.
func BenchmarkPut(b *testing.B) {
	for _, c := range []struct {
		name string
		size int
	}{{"300KB", 300 << 10}, {"16MB", 16 << 20}} {
		plain := random(c.size)
		b.Run("blob/"+c.name, func(b *testing.B) {
			s, _ := empty(b, blob.Config{})
			b.SetBytes(int64(c.size))
			for b.Loop() {
				ref := put(b, s, plain)
				b.StopTimer()
				s.Remove(ref.Name)
				b.StartTimer()
			}
		})
		b.Run("plain/"+c.name, func(b *testing.B) {
			dir, err := os.Open(b.TempDir())
			if err != nil {
				b.Fatal(err)
			}
			defer dir.Close()
			b.SetBytes(int64(c.size))
			for b.Loop() {
				f, err := os.Create(filepath.Join(dir.Name(), "plain"))
				if err != nil {
					b.Fatal(err)
				}
				f.Write(plain)
				if err := f.Sync(); err != nil {
					b.Fatal(err)
				}
				f.Close()
				if err := dir.Sync(); err != nil {
					b.Fatal(err)
				}
				b.StopTimer()
				os.Remove(f.Name())
				b.StartTimer()
			}
		})
	}
}

func BenchmarkOpen(b *testing.B) {
	for _, c := range []struct {
		name string
		size int
	}{{"300KB", 300 << 10}, {"16MB", 16 << 20}} {
		plain := random(c.size)
		s, dir := empty(b, blob.Config{})
		key, h := alice()
		name := put(b, s, plain).Name
		buffer := make([]byte, 64<<10)
		b.Run("blob/"+c.name, func(b *testing.B) {
			b.SetBytes(int64(c.size))
			for b.Loop() {
				r, err := s.Open(context.Background(), key, h, name)
				if err != nil {
					b.Fatal(err)
				}
				drain(b, r, buffer)
			}
		})
		b.Run("plain/"+c.name, func(b *testing.B) {
			b.SetBytes(int64(c.size))
			for b.Loop() {
				f, err := os.Open(file(dir, name))
				if err != nil {
					b.Fatal(err)
				}
				drain(b, f, buffer)
			}
		})
	}
}

func drain(b *testing.B, r io.ReadCloser, buffer []byte) {
	for {
		if _, err := r.Read(buffer); err == io.EOF {
			break
		} else if err != nil {
			b.Fatal(err)
		}
	}
	r.Close()
}
