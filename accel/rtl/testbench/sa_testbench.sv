// The memory around an array, and a judge: it answers an array's requests from a file of folds, holds operands back
// until the clock in which they are in their buffers, writes down what leaves, and compares it with what is expected.
// It does no arithmetic on operands or sums and knows no law of the array.
//
//     +stimulus=FILE   what to run
//     +results=FILE    where to write down sums and cycles; without it nothing is written
//     +expected=FILE   results to compare with; PASSED or FAILED is said, and a failure is the simulator's exit code.
//                      Without it and without +stimulus: the example that came with the testbench
//
// Files are text: decimal numbers below lines that say what they are. `stimulus_text` and `response_text` of
// accel/rtl/bench.py write them. Cycle 0 is the first clock after reset; what a register holds after a rising edge
// belongs to the cycle that the edge ends.
module sa_testbench #(
    parameter int ROWS = 4,
    parameter int COLUMNS = 4,
    parameter int LANES = 4,
    parameter int MOVING_BITS = 8,
    parameter int OTHER_BITS = 8,
    parameter int LOAD_BITS = 8,
    parameter int ACCUMULATOR_BITS = 32,
    parameter bit RESULTS_STAY = 1'b0,  // the other operand moves down; otherwise it is loaded
    parameter int ROW_BITS = 3,
    parameter int LENGTH_BITS = 16,
    parameter int ADDRESS_BITS = 10,
    parameter int COUNT_BITS = 5,
    parameter STIMULUS = "stimulus.txt",
    parameter EXPECTED = "expected.txt"
) (
    output logic                              clk,
    output logic                              reset,
    output logic                              fold_valid,
    input  wire                               fold_ready,
    output logic [           LENGTH_BITS-1:0] fold_length,
    output logic [          ADDRESS_BITS-1:0] fold_address,
    output logic                              fold_accumulate,
    input  wire                               load_enable,
    input  wire  [              ROW_BITS-1:0] load_row,
    output logic [     COLUMNS*LOAD_BITS-1:0] load_data,
    input  wire                               stream_request,
    input  wire  [           LENGTH_BITS-1:0] stream_index,
    output logic                              stream_valid,
    output logic [      ROWS*MOVING_BITS-1:0] stream_data,
    output logic [    COLUMNS*OTHER_BITS-1:0] other_data,
    input  wire                               enter_first,
    input  wire                               result_valid,
    input  wire                               result_last,
    output logic [          ADDRESS_BITS-1:0] read_address,
    input  wire  [LANES*ACCUMULATOR_BITS-1:0] read_sums,
    input  wire  [            COUNT_BITS-1:0] overflows
);
    localparam int MESSAGES = 20;       // differences that are told one by one
    localparam int DRAIN_CYCLES = 4;    // counts of overflows are registered

    // The numbers of one fold, in the order of the file.
    localparam int LENGTH = 0;
    localparam int ADDRESS = 1;
    localparam int ACCUMULATE = 2;
    localparam int LOAD_READY = 3;
    localparam int STREAM_READY = 4;
    localparam int HOLD = 5;            // bubbles, and in front of which operand: the buffer's port is too narrow
    localparam int HOLD_AT = 6;
    localparam int MOVING = 7;          // where its operands lie, and how far it is to the next one
    localparam int MOVING_ROWS = 8;
    localparam int MOVING_ROW_STRIDE = 9;
    localparam int MOVING_STEP_STRIDE = 10;
    localparam int OTHER = 11;
    localparam int OTHER_ROWS = 12;
    localparam int OTHER_COLUMNS = 13;
    localparam int OTHER_ROW_STRIDE = 14;
    localparam int OTHER_COLUMN_STRIDE = 15;
    localparam int FOLD_FIELDS = 16;
    // The numbers of one tile: one past its last fold, and its part of the accumulators.
    localparam int TILE_END = 0;
    localparam int TILE_ADDRESS = 1;
    localparam int TILE_ROWS = 2;
    localparam int TILE_FIELDS = 3;

    int reset_cycles, cycle_limit;
    int fold_count, tile_count, operand_count;
    int folds[];
    int tiles[];
    int operands[];

    // Folds whose load has begun, whose stream has ended, whose results are out; the tile that is due.
    int loaded, streaming, leaving, tile;
    int position;       // of the operand that enters next, in its fold
    bit held;           // the next operand is, for as many clocks as are left
    int hold_left;
    int cycle;
    bit tile_is_out;    // its last sums arrive at the end of this clock
    longint overflow_count;
    int first_operand[];
    int first_result[];
    int last_result[];

    string stimulus_path, results_path, expected_path;
    int stimulus_file, results_file, expected_file;
    int differences;

    function automatic int fold_field(int fold, int which);
        fold_field = folds[fold*FOLD_FIELDS+which];
    endfunction

    // ---- files

    task stop(string why);
        $display("FAILED: %0s", why);
        $fatal(1, "no verdict");
    endtask

    task skip_line(int file);
        reg [8*1000-1:0] unused_line;
        if ($feof(file) || $fgets(unused_line, file) == 0) stop("a file is cut short");
    endtask

    // What is left of a line, and the one below it, which says what the next numbers are.
    task skip_heading;
        skip_line(stimulus_file);
        skip_line(stimulus_file);
    endtask

    task read_number(output int value);
        if ($fscanf(stimulus_file, "%d", value) != 1) stop("the stimulus is cut short");
    endtask

    task check_size(int built);
        int value;
        read_number(value);
        if (value != built) stop("the stimulus is for another array");
    endtask

    task read_stimulus;
        int value;
        stimulus_path = STIMULUS;
        if (!$value$plusargs("stimulus=%s", stimulus_path)) stimulus_path = STIMULUS;
        stimulus_file = $fopen(stimulus_path, "r");
        if (stimulus_file == 0) stop({"cannot read ", stimulus_path});
        skip_line(stimulus_file);
        read_number(fold_count);
        read_number(tile_count);
        read_number(operand_count);
        check_size(ROWS);
        check_size(COLUMNS);
        check_size(LANES);
        check_size(MOVING_BITS);
        check_size(OTHER_BITS);
        check_size(ACCUMULATOR_BITS);
        read_number(reset_cycles);
        read_number(cycle_limit);

        folds = new[fold_count * FOLD_FIELDS];
        tiles = new[tile_count * TILE_FIELDS];
        operands = new[operand_count];
        first_operand = new[fold_count];
        first_result = new[fold_count];
        last_result = new[fold_count];
        skip_heading();
        for (int i = 0; i < fold_count * FOLD_FIELDS; i++) begin
            read_number(value);
            folds[i] = value;
        end
        skip_heading();
        for (int i = 0; i < tile_count * TILE_FIELDS; i++) begin
            read_number(value);
            tiles[i] = value;
        end
        skip_heading();
        for (int i = 0; i < operand_count; i++) begin
            read_number(value);
            operands[i] = value;
        end
        for (int fold = 0; fold < fold_count; fold++) begin
            first_operand[fold] = -1;
            first_result[fold] = -1;
            last_result[fold] = -1;
        end
        $fclose(stimulus_file);
    endtask

    task open_results;
        results_file = 0;
        expected_file = 0;
        if ($value$plusargs("results=%s", results_path)) begin
            results_file = $fopen(results_path, "w");
            if (results_file == 0) stop({"cannot write ", results_path});
        end
        // What is expected of the stimulus that ships with a testbench says nothing about another one.
        expected_path = EXPECTED;
        if ($value$plusargs("expected=%s", expected_path) || !$test$plusargs("stimulus=")) begin
            expected_file = $fopen(expected_path, "r");
            if (expected_file == 0) stop({"cannot read ", expected_path});
        end
    endtask

    task heading(string text);
        if (results_file != 0) $fdisplay(results_file, "%0s", text);
        if (expected_file != 0) skip_line(expected_file);
    endtask

    task end_line;
        if (results_file != 0) $fdisplay(results_file, "");
        if (expected_file != 0) skip_line(expected_file);
    endtask

    // One number of the results; `what` and two places name it where it differs.
    task record(longint value, string what, int place, int lane);
        longint expected;
        if (results_file != 0) $fwrite(results_file, "%0d ", value);
        if (expected_file != 0) begin
            if ($fscanf(expected_file, "%d", expected) != 1) stop("the expected results are cut short");
            if (value != expected) begin
                differences = differences + 1;
                if (differences <= MESSAGES)
                    $display("%0s %0d, %0d: %0d, expected %0d", what, place, lane, value, expected);
            end
        end
    endtask

    // ---- the memory

    task fill_stream(int fold);
        int from;
        from = fold_field(fold, MOVING) + position * fold_field(fold, MOVING_STEP_STRIDE);
        stream_data = '0;
        for (int r = 0; r < fold_field(fold, MOVING_ROWS); r++)
            stream_data[r*MOVING_BITS+:MOVING_BITS] =
                MOVING_BITS'(operands[from+r*fold_field(fold, MOVING_ROW_STRIDE)]);
    endtask

    // A row of the operand that is not the moving one.
    task fill_other(int fold, int row);
        int from;
        from = fold_field(fold, OTHER) + row * fold_field(fold, OTHER_ROW_STRIDE);
        other_data = '0;
        if (row < fold_field(fold, OTHER_ROWS))
            for (int c = 0; c < fold_field(fold, OTHER_COLUMNS); c++)
                other_data[c*OTHER_BITS+:OTHER_BITS] =
                    OTHER_BITS'(operands[from+c*fold_field(fold, OTHER_COLUMN_STRIDE)]);
    endtask

    // ---- one clock

    // Before the rising edge: offer the next fold and the next operand if they are in their buffers.
    task offer;
        bit ready;
        fold_valid = 1'b0;
        if (loaded < fold_count) begin
            fold_valid = cycle >= fold_field(loaded, LOAD_READY);
            fold_length = LENGTH_BITS'(fold_field(loaded, LENGTH));
            fold_address = ADDRESS_BITS'(fold_field(loaded, ADDRESS));
            fold_accumulate = fold_field(loaded, ACCUMULATE) != 0;
        end
        stream_valid = 1'b0;
        held = 1'b0;
        if (streaming < fold_count) begin
            ready = cycle >= fold_field(streaming, STREAM_READY);
            held = ready && hold_left > 0 && position == fold_field(streaming, HOLD_AT);
            stream_valid = ready && !held;
        end
    endtask

    // Still before it: give what the array asks for.
    task answer;
        if ((^{fold_ready, load_enable, stream_request}) === 1'bx) stop("a request is unknown");
        if (fold_valid && fold_ready) loaded = loaded + 1;
        if (!RESULTS_STAY && load_enable) begin
            fill_other(loaded - 1, int'(load_row));
            load_data = (COLUMNS * LOAD_BITS)'(other_data);
        end
        if (stream_request && stream_valid) begin
            if (int'(stream_index) != position) stop("another operand is asked for");
            if (enter_first) first_operand[streaming] = cycle;
            fill_stream(streaming);
            if (RESULTS_STAY) fill_other(streaming, position);
            position = position + 1;
            if (position == fold_field(streaming, LENGTH)) begin
                streaming = streaming + 1;
                position = 0;
                if (streaming < fold_count) hold_left = fold_field(streaming, HOLD);
            end
        end else if (stream_request && held) hold_left = hold_left - 1;
    endtask

    // After it: write down what is out.
    task observe;
        if ((^{result_valid, overflows}) === 1'bx) stop("a result is unknown");
        overflow_count = overflow_count + longint'(overflows);
        if (tile_is_out) begin
            read_tile();
            tile = tile + 1;
            tile_is_out = 1'b0;
        end
        if (result_valid) begin
            if (leaving == fold_count) stop("a result of no fold");
            if (first_result[leaving] < 0) first_result[leaving] = cycle;
            if (result_last) begin
                last_result[leaving] = cycle;
                leaving = leaving + 1;
                tile_is_out = leaving == tiles[tile*TILE_FIELDS+TILE_END];
            end
        end
    endtask

    // The clock stands still while a tile's sums are read.
    task read_tile;
        reg signed [ACCUMULATOR_BITS-1:0] sum;
        int address;
        for (int row = 0; row < tiles[tile*TILE_FIELDS+TILE_ROWS]; row++) begin
            address = tiles[tile*TILE_FIELDS+TILE_ADDRESS] + row;
            read_address = ADDRESS_BITS'(address);
            #1;
            for (int lane = 0; lane < LANES; lane++) begin
                sum = read_sums[lane*ACCUMULATOR_BITS+:ACCUMULATOR_BITS];
                if ((^sum) === 1'bx) stop("a sum is unknown");
                record(longint'(sum), "sum of address, lane", address, lane);
            end
            end_line();
        end
    endtask

    // ---- all of it

    task reset_array;
        clk = 1'b0;
        reset = 1'b1;
        fold_valid = 1'b0;
        fold_length = '0;
        fold_address = '0;
        fold_accumulate = 1'b0;
        stream_valid = 1'b0;
        stream_data = '0;
        other_data = '0;
        load_data = '0;
        read_address = '0;
        repeat (reset_cycles) begin
            #1 clk = 1'b1;
            #1 clk = 1'b0;
        end
        reset = 1'b0;
    endtask

    task record_folds;
        heading("first_operand first_result last_result");
        for (int fold = 0; fold < fold_count; fold++) begin
            record(longint'(first_operand[fold]), "cycle of the first operand of fold", fold, 0);
            record(longint'(first_result[fold]), "cycle of the first result of fold", fold, 0);
            record(longint'(last_result[fold]), "cycle of the last result of fold", fold, 0);
            end_line();
        end
        heading("overflows");
        record(overflow_count, "overflows of all folds", fold_count, 0);
        end_line();
    endtask

    task verdict;
        if (results_file != 0) $fclose(results_file);
        if (expected_file == 0) $display("ran %0d folds in %0d cycles; there is nothing to compare with", fold_count, cycle);
        else if (differences == 0) $display("PASSED: %0d folds, %0d cycles", fold_count, cycle);
        else begin
            $display("FAILED: %0d numbers differ", differences);
            $fatal(1, "sums or cycles differ");
        end
    endtask

    int drain;
    initial begin
        read_stimulus();
        open_results();
        hold_left = fold_field(0, HOLD);
        reset_array();
        heading("sums");
        drain = DRAIN_CYCLES;
        while (leaving < fold_count || drain > 0) begin
            if (leaving == fold_count) drain = drain - 1;
            if (cycle > cycle_limit) begin
                $display("stuck in fold %0d of %0d: no result by cycle %0d", leaving, fold_count, cycle);
                stop("the array is stuck");
            end
            clk = 1'b0;
            offer();
            #1 answer();
            #1 clk = 1'b1;
            #1 observe();
            cycle = cycle + 1;
        end
        record_folds();
        verdict();
        $finish;
    end
endmodule
