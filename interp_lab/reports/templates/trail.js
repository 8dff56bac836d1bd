  // Evidence trail: pointing at a number says where it stands in report.json.
  const placeOf = (element, place = "") => {
    const at = element.dataset.at ?? element.dataset.in;
    if (at !== undefined) place = place === "" ? at : `${at}/${place}`;
    if (place.startsWith("/") || !element.parentElement) return place;
    const list = element.parentElement.dataset.list;
    if (list !== undefined) place = `${list}/${[...element.parentElement.children].indexOf(element)}/${place}`;
    return placeOf(element.parentElement, place);
  };
  document.addEventListener("pointerover", event => {
    const number = event.target.closest?.("[data-at]");
    if (number && !number.title) number.title = `report.json ${placeOf(number)}`;
  });
