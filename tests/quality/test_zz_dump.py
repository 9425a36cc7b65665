from tests.quality.world import build
from tests.quality import test_routes as t
def test_dump(app):
    w=build(app)
    out=[]
    rules=sorted((r for r in app.url_map.iter_rules() if not r.endpoint.startswith("showcase")), key=lambda r:(r.rule.startswith('/api'), r.endpoint.partition('.')[0], r.rule))
    room=None; bad=[]
    for r in rules:
        for m in sorted(r.methods-{'HEAD','OPTIONS'}, key=["GET","POST","PUT","PATCH","DELETE"].index):
            try: row=t.row_of(w,r,m)
            except AssertionError as e: bad.append("LEAK "+str(e)[:300]); continue
            marks=['/'.join(x) for x in row.values()]
            now=r.endpoint.partition('.')[0]
            if room!=now: out.append(''); room=now
            out.append(f"{m:6} {r.rule.replace(', ','|') if 0 else r.rule}\t{' '.join(marks[:3])} | {' '.join(marks[3:10])} | {' '.join(marks[10:])}")
    open('/tmp/table.txt','w').write('\n'.join(out[1:])+'\n')
    open('/tmp/bad.txt','w').write('\n'.join(bad))
