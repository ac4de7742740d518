package gallery

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"go/constant"
	"go/token"
	"go/types"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/cpu"
)

const vnniFile = "kernel_avxvnni_amd64.s"

// use of the macro VPDPBUSDVEX.
type use struct{ probe, row, sum int }

// bytes of a use, by the macro's formula.
func (u use) bytes(t *testing.T, formula []string) []byte {
	t.Helper()
	var code []byte
	for _, f := range formula {
		for name, value := range map[string]int{"probe": u.probe, "row": u.row, "sum": u.sum} {
			f = regexp.MustCompile(`\b`+name+`\b`).ReplaceAllString(f, strconv.Itoa(value))
		}
		v, err := types.Eval(token.NewFileSet(), nil, token.NoPos, f)
		if err != nil {
			t.Fatalf("formula %q: %v", f, err)
		}
		b, exact := constant.Uint64Val(v.Value)
		if !exact || b > 255 {
			t.Fatalf("formula %q gives no byte", f)
		}
		code = append(code, byte(b))
	}
	return code
}

var usePattern = regexp.MustCompile(`VPDPBUSDVEX\((\d+), (\d+), (\d+)\)`)

// vnniSource reads the macro's formula and its uses, function by function.
func vnniSource(t *testing.T) (formula []string, uses map[string][]use) {
	t.Helper()
	source, err := os.ReadFile(vnniFile)
	if err != nil {
		t.Fatal(err)
	}
	macro := regexp.MustCompile(`(?s)#define VPDPBUSDVEX\(probe, row, sum\) \\\n(.*?)\n\n`).FindSubmatch(source)
	if macro == nil {
		t.Fatal("the macro is not found")
	}
	for _, b := range strings.Split(string(macro[1]), ";") {
		formula = append(formula, strings.TrimPrefix(strings.TrimSpace(b), "BYTE $"))
	}
	uses = map[string][]use{}
	for _, text := range strings.Split(string(source), "\nTEXT ·")[1:] {
		name, _, _ := strings.Cut(text, "(")
		for _, m := range usePattern.FindAllStringSubmatch(text, -1) {
			var u use
			for i, p := range []*int{&u.probe, &u.row, &u.sum} {
				if *p, err = strconv.Atoi(m[i+1]); err != nil {
					t.Fatal(err)
				}
			}
			uses[name] = append(uses[name], u)
		}
	}
	if all := usePattern.FindAllIndex(source, -1); len(uses) == 0 || len(slices.Concat(slices.Collect(maps.Values(uses))...)) != len(all) {
		t.Fatalf("%d uses are found, not all in functions", len(all))
	}
	return formula, uses
}

// TestVNNIBytesAreTheAssemblers: Go's assembler cannot check the macro, another
// one can.
func TestVNNIBytesAreTheAssemblers(t *testing.T) {
	as, err := exec.LookPath("as")
	if err != nil {
		t.Skip("there is no assembler (binutils) to compare with")
	}
	formula, uses := vnniSource(t)
	var source bytes.Buffer
	var want []byte
	var all []use
	for _, us := range uses {
		for _, u := range us {
			fmt.Fprintf(&source, "{vex} vpdpbusd %%ymm%d, %%ymm%d, %%ymm%d\n", 8+u.probe, u.row, u.sum)
			want, all = append(want, u.bytes(t, formula)...), append(all, u)
		}
	}
	object := filepath.Join(t.TempDir(), "o")
	command := exec.CommandContext(t.Context(), as, "--64", "-o", object, "-")
	command.Stdin = &source
	if out, err := command.CombinedOutput(); err != nil {
		t.Skipf("this assembler does not know AVX-VNNI (binutils 2.36 does): %s", out)
	}
	f, err := elf.Open(object)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	got, err := f.Section(".text").Data()
	if err != nil {
		t.Fatal(err)
	}
	if len(got) < len(want) {
		t.Fatalf("%d bytes were assembled, the macro makes %d", len(got), len(want))
	}
	for i, u := range all {
		if g, w := got[5*i:5*i+5], want[5*i:5*i+5]; !bytes.Equal(g, w) {
			t.Errorf("probe %d, row %d, sum %d: the macro makes % x, the assembler % x", u.probe, u.row, u.sum, w, g)
		}
	}
}

// TestVNNIBytesAreInTheBinary reads the code that runs: each use is there, in
// order, and no other.
func TestVNNIBytesAreInTheBinary(t *testing.T) {
	formula, uses := vnniSource(t)
	functions := map[string]any{"sketch1AVXVNNI": sketch1AVXVNNI, "sketch4AVXVNNI": sketch4AVXVNNI, "restAVXVNNI": restAVXVNNI, "dotsAVXVNNI": dotsAVXVNNI}
	if len(functions) != len(uses) {
		t.Fatalf("%d functions use the macro, not %d", len(uses), len(functions))
	}
	for name, f := range functions {
		var got, want [][]byte
		for _, u := range uses[name] {
			want = append(want, u.bytes(t, formula))
		}
		code := codeOf(t, f, "."+name)
		for i := 0; i+5 <= len(code); i++ {
			if code[i] == 0xc4 && code[i+1] == 0xc2 && code[i+3] == 0x50 {
				got = append(got, code[i:i+5])
			}
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s has % x, want % x", name, got, want)
		}
	}
}

// codeOf a function in assembly. What Go code sees of it is a wrapper that calls
// it: CALL rel32.
func codeOf(t *testing.T, f any, name string) []byte {
	t.Helper()
	wrapper := reflect.ValueOf(f).UnsafePointer()
	is := func(p unsafe.Pointer) bool {
		f := runtime.FuncForPC(uintptr(p))
		return f != nil && strings.HasSuffix(f.Name(), name)
	}
	for at := 0; is(unsafe.Add(wrapper, at)); at++ {
		if *(*byte)(unsafe.Add(wrapper, at)) != 0xe8 {
			continue
		}
		rel := unsafe.Slice((*byte)(unsafe.Add(wrapper, at+1)), 4)
		entry := unsafe.Add(wrapper, at+5+int(int32(binary.LittleEndian.Uint32(rel))))
		if !is(entry) || runtime.FuncForPC(uintptr(entry)).Entry() != uintptr(entry) {
			continue
		}
		size := 0
		for is(unsafe.Add(entry, size)) {
			size++
		}
		return unsafe.Slice((*byte)(entry), size)
	}
	t.Fatalf("the code of %s is not found", name)
	return nil
}

// TestVNNIKernelInAnotherEncoding runs the kernel on a processor that has
// VPDPBUSD only as a part of AVX-512: the same instruction in its EVEX form,
// which Go's assembler knows, takes the macro's place. With the bytes compared
// above, all of the kernel is shown.
func TestVNNIKernelInAnotherEncoding(t *testing.T) {
	switch x := &cpu.X86; {
	case testing.Short():
		t.Skip("it builds the package again")
	case x.HasAVXVNNI:
		t.Skip("this processor runs the kernel as it is: TestKernelsAgree")
	case !x.HasAVX512VL || !x.HasAVX512VNNI:
		t.Skip("this processor has VPDPBUSD in neither form")
	}
	source, err := os.ReadFile(vnniFile)
	if err != nil {
		t.Fatal(err)
	}
	asm := usePattern.ReplaceAllStringFunc(string(source), func(s string) string {
		m := usePattern.FindStringSubmatch(s)
		probe, _ := strconv.Atoi(m[1]) // it is digits
		return fmt.Sprintf("VPDPBUSD Y%d, Y%s, Y%s", 8+probe, m[2], m[3])
	})
	list, err := os.ReadFile("kernel_amd64.go")
	if err != nil {
		t.Fatal(err)
	}
	const condition = "x.HasAVX2 && x.HasAVXVNNI"
	if !strings.Contains(string(list), condition) || asm == string(source) {
		t.Fatal("the kernel's condition or its macro is not found")
	}
	folder, replace := t.TempDir(), map[string]string{}
	for name, text := range map[string]string{vnniFile: asm, "kernel_amd64.go": strings.Replace(string(list), condition, "x.HasAVX2", 1)} {
		from, err := filepath.Abs(name)
		if err != nil {
			t.Fatal(err)
		}
		replace[from] = filepath.Join(folder, name)
		if err := os.WriteFile(replace[from], []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(folder, "overlay.json")
	if err := os.WriteFile(path, overlay, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), "go", "test", "-count=1", "-v", "-overlay", path, "-run", "^TestKernelsAgree$", ".").CombinedOutput()
	if err != nil || !bytes.Contains(out, []byte("--- PASS: TestKernelsAgree/avx-vnni")) {
		t.Fatalf("%v\n%s", err, out)
	}
}
