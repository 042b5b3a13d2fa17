// The page's colours and type, light and dark.

enum StudyStyle {
    static let css = """
        :root{color-scheme:light dark;--ink:#1d2430;--soft:#5d6878;--paper:#fbfaf7;--card:#fff;--line:#dfe2e8;--usp:#d9480f;--scratch:#1f6feb;--supervised:#2b8a3e;--encoder:#9c36b5}
        @media(prefers-color-scheme:dark){:root{--ink:#e8eaee;--soft:#9aa4b2;--paper:#15181d;--card:#1d2129;--line:#333a45;--usp:#ff8a4c;--scratch:#6cb0ff;--supervised:#69db7c;--encoder:#da77f2}}
        *{box-sizing:border-box}body{margin:0;background:var(--paper);color:var(--ink);font:16px/1.6 system-ui,sans-serif}
        main{max-width:1080px;margin:0 auto;padding:2.5rem 1.2rem 5rem}h1{font-size:2.3rem;line-height:1.15;margin:.2em 0}
        h2{margin:2.6rem 0 .6rem;font-size:1.35rem}.lead{font-size:1.13rem;color:var(--soft);max-width:46em}
        .facts{display:grid;grid-template-columns:repeat(auto-fit,minmax(200px,1fr));gap:.8rem;margin:1.6rem 0 0}
        .facts div{background:var(--card);border:1px solid var(--line);border-radius:12px;padding:.8rem 1rem}
        dt{font-size:.82rem;color:var(--soft)}dd{margin:0;font-size:1.45rem;font-weight:650;font-variant-numeric:tabular-nums}
        figure{margin:0;background:var(--card);border:1px solid var(--line);border-radius:12px;padding:.7rem}
        figcaption{font-size:.86rem;color:var(--soft);margin-bottom:.4rem}img{width:100%;image-rendering:pixelated;border-radius:6px;display:block}
        .pair{display:grid;grid-template-columns:repeat(auto-fit,minmax(330px,1fr));gap:1rem;align-items:start;margin:1rem 0}
        .samples{display:grid;grid-template-columns:1fr 1fr;gap:1rem;margin-top:1rem}
        table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums;background:var(--card);border-radius:12px}
        th,td{text-align:left;padding:.42rem .8rem;border-bottom:1px solid var(--line)}th{font-size:.84rem;color:var(--soft);font-weight:600}
        pre{background:var(--card);border:1px solid var(--line);border-radius:12px;padding:1rem;overflow:auto;font-size:.84rem;margin:0}
        svg{width:100%;height:auto;display:block}.grid{stroke:var(--line)}.tick{font-size:11.5px;fill:var(--soft)}.name{font-size:12.5px;fill:var(--soft)}
        .line{fill:none;stroke-width:2.4}.line.usp{stroke:var(--usp)}.line.scratch{stroke:var(--scratch)}.dot.usp{fill:var(--usp)}.dot.scratch{fill:var(--scratch)}
        .line.supervised{stroke:var(--supervised)}.dot.supervised{fill:var(--supervised)}.legend .supervised{color:var(--supervised)}
        .line.encoder{stroke:var(--encoder)}.dot.encoder{fill:var(--encoder)}.legend .encoder{color:var(--encoder)}.band.encoder{fill:var(--encoder)}
        .band{stroke:none;opacity:.16}.band.usp{fill:var(--usp)}.band.scratch{fill:var(--scratch)}.band.supervised{fill:var(--supervised)}
        .hero{display:grid;grid-template-columns:repeat(auto-fit,minmax(270px,1fr));gap:1rem;margin:1.4rem 0 .4rem}.hero img[hidden]{display:none}
        .slide{display:flex;gap:.8rem;align-items:center;font-variant-numeric:tabular-nums}.slide input{flex:1;accent-color:var(--usp)}
        .wide{overflow-x:auto}.heat td{text-align:center}ul.plain{columns:2 20em;color:var(--soft);font-size:.86rem}a{color:inherit}
        .floor{stroke:var(--soft);stroke-dasharray:5 5}.legend{margin:.3rem 0 0;font-size:.86rem}.legend span{margin-right:1.2rem}
        .legend .usp{color:var(--usp)}.legend .scratch{color:var(--scratch)}.legend span:before{content:'● '}
        .pipeline rect{fill:var(--card);stroke:var(--line)}.pipeline path{stroke:var(--soft);fill:none;stroke-width:1.6}.pipeline .box{font-size:15px;font-weight:600;fill:var(--ink)}.pipeline .sub{font-size:10.5px;fill:var(--soft)}
        """
}

/// Moves the hero's pictures with the slider.
enum StudyScript {
    static let js = """
        document.querySelectorAll('.slide input').forEach(s=>{const h=s.closest('header'),o=h.querySelector('output');
        s.oninput=()=>{const n=h.querySelectorAll('.hero img[data-step]');let v='';n.forEach(i=>{i.hidden=i.dataset.place!==s.value;if(!i.hidden)v=i.dataset.step});o.textContent=v;
        h.querySelectorAll('[data-told]').forEach(e=>e.hidden=e.dataset.told!==s.value)}});
        """
}
