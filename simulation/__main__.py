"""`python -m simulation`."""
import sys, time
from simulation.schedule import run
if sys.argv[1]=="-s":
    o=run(int(sys.argv[2]),True); print("\n".join(o.story)); print(o.violation)
else:
    a,b=int(sys.argv[1]),int(sys.argv[2]); t=time.process_time(); bad=0; errs=0;kills=0
    for s in range(a,b):
        o=run(s); errs+=o.errors; kills+=o.kills
        if o.violation: bad+=1; print(s,o.violation)
    print(f"{(time.process_time()-t)/(b-a)*1000:.1f} ms each, {bad} bad, {errs} errors, {kills} kills")
