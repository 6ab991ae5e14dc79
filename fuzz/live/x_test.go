package live
import ("testing";"os";"fmt";"time";"pgregory.net/rapid";"tunproof/fuzz/gen";"tunproof/tunlive";"tunproof/fuzz/scenario")
func TestMain(m *testing.M){ if err:=tunlive.Enter(); err!=nil {fmt.Println(err); os.Exit(2)}; os.Exit(m.Run()) }
func run(t *testing.T, k *Kernel, name string, os []*Oracle, f func(*Oracle,*scenario.Scenario,*Tally)error, g *rapid.Generator[scenario.Scenario]){
 for _,o:=range os { t.Run(name+o.Name, func(t *testing.T){
 if o.Missing!=nil {t.Skip(o.Missing)}
 var tally Tally
 start:=time.Now()
 rapid.Check(t, func(r *rapid.T){ s:=g.Draw(r,"s"); if err:=f(o,&s,&tally);err!=nil{r.Fatal(err)} })
 fmt.Println(name,o.Name,tally.Rounds,tally.Segments,time.Since(start)); for _,l:=range tally.Lines(){fmt.Println(l)}
 })}
}
func TestX(t *testing.T){
 k,err:=Open(); if err!=nil{t.Fatal(err)}
 defer k.Close()
 run(t,k,"segment",k.Cuts,k.Segment,gen.Supers())
 run(t,k,"back",k.Cuts,k.Back,gen.Batches())
 run(t,k,"groups",k.Joins,k.Groups,gen.Batches())
 run(t,k,"batches",k.Joins,k.Batches,gen.Batches())
}
