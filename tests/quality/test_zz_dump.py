from tests.quality.world import build
from tests.quality import test_routes as t
def test_dump(app):
    w=build(app)
    out=[]
    rules=sorted((r for r in app.url_map.iter_rules() if not r.endpoint.startswith("showcase")), key=lambda r:(r.rule.startswith('/api'), r.endpoint.partition('.')[0], r.rule))
    last=None
    for r in rules:
        for m in sorted(r.methods-{'HEAD','OPTIONS'}, key=["GET","POST","PUT","PATCH","DELETE"].index):
            try: row=t.row_of(w,r,m)
            except AssertionError as e: print("LEAK", str(e)[:300]); continue
            marks=['/'.join(x) for x in row.values()]
            out.append(f"{m:6} {r.rule:78}| {' '.join(marks[:3])} | {' '.join(marks[3:10])} | {' '.join(marks[10:])}")
    open('/tmp/table.txt','w').write('\n'.join(out))
