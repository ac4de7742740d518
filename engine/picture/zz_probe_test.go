package picture_test
import ("testing";"time";"gatehouse/engine/picture";"fmt";"encoding/binary")
func TestProbe(t *testing.T){
	t0:=time.Now()
	ff:=flatFiles(t); fmt.Println("make",time.Since(t0))
	for f,d:=range ff{
		l:=picture.DefaultLimits()
		for _,ls:=range []int{0,1600}{
		l.LongSide=ls
		t0=time.Now(); p,err:=decode(d,l); fmt.Println(f,len(d),ls,time.Since(t0),err); if p!=nil {fmt.Println(p.Width,p.Pix[:3])}
		}
	}
	_ = binary.BigEndian
}
