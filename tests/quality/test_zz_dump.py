import cProfile, pstats, time
from tests.quality.world import build, paths
from tests.quality import test_routes as t
def test_p(app):
    w=build(app)
    rules=[r for r in app.url_map.iter_rules() if r.rule.startswith(('/finance','/account'))]
    def go():
        for r in rules:
            for m in r.methods-{'HEAD','OPTIONS'}: t.row_of(w,r,m)
    p=cProfile.Profile(); c=time.process_time(); p.runcall(go); print("cpu",time.process_time()-c)
    pstats.Stats(p).sort_stats('cumtime').print_stats(60)
