// A cursor that runs over a timeline with its player; a click in the timeline goes there.
document.querySelectorAll(".timeline").forEach(function (figure) {
  var audio = figure.querySelector("audio"), tracks = figure.querySelector(".tracks");
  if (!audio) return;
  var cursor = tracks.querySelector(".cursor"), lane = tracks.querySelector(".lane");
  var seconds = Number(figure.dataset.seconds);
  var from = Number((/#t=([\d.]+)/.exec(audio.getAttribute("src").slice(-60)) || [0, 0])[1]);
  tracks.classList.add("heard");
  function place() {
    var left = lane.getBoundingClientRect().left - tracks.getBoundingClientRect().left;
    var share = Math.min(1, Math.max(0, (audio.currentTime - from) / seconds));
    cursor.hidden = false;
    cursor.style.left = left + lane.clientWidth * share + "px";
    if (!audio.paused) requestAnimationFrame(place);
  }
  ["play", "seeked", "timeupdate"].forEach(function (event) { audio.addEventListener(event, place); });
  addEventListener("resize", function () { if (!cursor.hidden) place(); });
  audio.addEventListener("play", function () {
    document.querySelectorAll("audio").forEach(function (other) { if (other !== audio) other.pause(); });
  });
  tracks.addEventListener("click", function (event) {
    var box = lane.getBoundingClientRect(), share = (event.clientX - box.left) / box.width;
    if (share >= 0 && share <= 1) audio.currentTime = from + share * seconds;
  });
});
