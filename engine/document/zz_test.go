package document_test

import (
	"context"
	"encoding/csv"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"gatehouse/engine/document"
	"gatehouse/engine/onnx"
	"gatehouse/engine/pack"
	"gatehouse/engine/picture"
)

func TestZZ(t *testing.T) {
	read := func(n string) []byte {
		b, e := os.ReadFile("../../build/assets/" + n)
		if e != nil {
			t.Fatal(e)
		}
		return b
	}
	rt, err := onnx.Open(onnx.Config{Runtime: onnx.Library{SOName: "libonnxruntime.so.1", Bytes: read("libonnxruntime.so")}})
	if err != nil {
		t.Fatal(err)
	}
	p, err := pack.OpenPath("../../build/assets/default.pack")
	if err != nil {
		t.Fatal(err)
	}
	r, err := document.New(rt, p)
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	d := "/work/shared/data/documents/passporteye/"
	f, _ := os.Open(d + "truth.csv")
	rows, _ := csv.NewReader(f).ReadAll()
	right := 0
	for _, row := range rows[1:] {
		b, _ := os.ReadFile(d + row[0])
		l := picture.DefaultLimits()
		l.LongSide = 2000
		pic, err := picture.Decode(ctx, b, l)
		if err != nil {
			t.Fatal(err)
		}
		t0 := time.Now()
		doc, err := r.Read(ctx, pic, document.Options{Today: time.Now(), Text: os.Getenv("TEXT") != ""})
		if err != nil {
			t.Fatal(err)
		}
		el := time.Since(t0)
		if doc.MRZ == nil {
			fmt.Println(row[0], pic.Width, pic.Height, "NONE", el)
			continue
		}
		want := strings.TrimSpace(row[2] + "\n" + row[3] + "\n" + row[4])
		got := strings.Join(doc.MRZ.Lines, "\n")
		if want == got {
			right++
		}
		fmt.Println(row[0], pic.Width, pic.Height, doc.MRZ.Format, want == got, "valid", doc.MRZ.Valid, "trusted", doc.MRZ.Trusted, int(1000*doc.MRZ.NameDoubt), el, len(doc.MRZ.Repairs), doc.Type)
		for _, c := range doc.Fields {
			fmt.Println("   ", c)
		}
		if want != got {
			fmt.Println(want)
			fmt.Println(got)
		}
	}
	fmt.Println("right", right)
}
